package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"github.com/plimsoll-ecs/plimsoll/pkg/cluster"
	"github.com/plimsoll-ecs/plimsoll/pkg/plan"
)

func hostPort(n int) cluster.HostPort {
	return cluster.HostPort{Instance: "i-0a1", Port: n, Protocol: "tcp"}
}

// owned is a claim of a port for a task, on a record of a version.
func owned(n int, task string, version int64) plan.Claim {
	return plan.Claim{Port: hostPort(n), Owner: cluster.Owner{Task: task, Service: "web", Groups: []string{"tg"}, Version: version}}
}

// ported opens a round of a key with its port records.
func (f *fixture) ported(of, holder string) PortRecords {
	f.Helper()
	o, err := f.Open(f.Context(), of, holder)
	if err == nil {
		err = o.Recall(f.Context())
	}
	if err != nil {
		f.Fatal(err)
	}
	return PortRecords{Session: o, DB: f.cloud.DynamoDB()}
}

func (f *fixture) owners(r PortRecords, ports ...cluster.HostPort) map[cluster.HostPort]cluster.Owner {
	f.Helper()
	all, err := r.Owners(f.Context(), ports)
	if err != nil {
		f.Fatal(err)
	}
	return all
}

func (f *fixture) claim(r PortRecords, claims ...plan.Claim) (lost []cluster.HostPort) {
	f.Helper()
	lost, err := r.Claim(f.Context(), claims)
	if err != nil {
		f.Fatal(err)
	}
	return lost
}

// version is that of a port's record now.
func (f *fixture) version(n int) int64 {
	f.Helper()
	return f.owners(f.ported("register#prod/onlooker", "same"), hostPort(n))[hostPort(n)].Version
}

func (f *fixture) end(r PortRecords) {
	f.Helper()
	f.close(r.Session, time.Time{}, nil)
}

func TestAPortHasOneOwner(t *testing.T) {
	f := newFixture(t)
	web, api := f.ported("register#prod/web", "a"), f.ported("register#prod/api", "b")
	if got := f.owners(web, hostPort(1)); len(got) != 0 {
		t.Errorf("nobody has it: %v", got)
	}
	if lost := f.claim(web, owned(1, "w", 0), owned(2, "w", 0)); len(lost) > 0 {
		t.Errorf("lost %v", lost)
	}
	// Of several claims those that are somebody else's are lost, and no other.
	if lost := f.claim(api, owned(1, "x", 0), owned(3, "x", 0), owned(2, "x", 0)); !slices.Equal(lost, []cluster.HostPort{hostPort(1), hostPort(2)}) {
		t.Errorf("lost %v", lost)
	}
	f.end(web)
	f.end(api)
	api = f.ported("register#prod/api", "c")
	got := f.owners(api, hostPort(1), hostPort(3), hostPort(4))
	if len(got) != 2 || got[hostPort(1)].Task != "w" || got[hostPort(3)].Task != "x" {
		t.Errorf("owners %+v", got)
	}
	// The owner has ended: who read its record may have the port. The copy that the
	// old owner's key still has does not bring it back.
	read := f.version(1)
	if lost := f.claim(api, owned(1, "x", read)); len(lost) > 0 {
		t.Errorf("lost %v", lost)
	}
	web = f.ported("register#prod/web", "d")
	if got := f.owners(web)[hostPort(1)]; got.Task != "w" {
		t.Errorf("the copy is of %q", got.Task)
	}
	if lost := f.claim(web, owned(1, "w2", read)); len(lost) != 1 {
		t.Error("the port was had by a record that is old")
	}
	f.end(web)
	web = f.ported("register#prod/web", "e")
	if got := f.owners(web, hostPort(1))[hostPort(1)]; got.Task != "x" || got.Version <= read {
		t.Errorf("after the loss the owner is %+v", got)
	}
}

func TestAReleasedPortIsFreeUnlessItIsSomebodyElses(t *testing.T) {
	f := newFixture(t)
	web, api := f.ported("register#prod/web", "a"), f.ported("register#prod/api", "b")
	f.claim(web, owned(1, "w", 0), owned(2, "w", 0))
	one, two := f.version(1), f.version(2)
	f.claim(api, owned(2, "x", two))
	f.end(web)
	web = f.ported("register#prod/web", "c")
	if err := web.Release(t.Context(), []plan.Claim{owned(1, "w", one), owned(2, "w", two)}); err != nil {
		t.Fatal(err)
	}
	f.end(web)
	web = f.ported("register#prod/web", "d")
	if got := f.owners(web); len(got) != 0 {
		t.Errorf("copies are left: %v", got)
	}
	if got := f.owners(web, hostPort(1), hostPort(2)); len(got) != 1 || got[hostPort(2)].Task != "x" {
		t.Errorf("owners %v", got)
	}
}

func TestWhoLostItsLeaseClaimsAndReleasesNothing(t *testing.T) {
	f := newFixture(t)
	first := f.ported("register#prod/web", "a")
	f.claim(first, owned(1, "w", 0))
	second := f.ported("register#prod/web", "a") // the message came again
	if _, err := first.Claim(t.Context(), []plan.Claim{owned(2, "w", 0)}); !errors.Is(err, ErrFenced) {
		t.Errorf("claim: %v", err)
	}
	if err := first.Release(t.Context(), []plan.Claim{owned(1, "w", f.version(1))}); !errors.Is(err, ErrFenced) {
		t.Errorf("release: %v", err)
	}
	if got := f.owners(second, hostPort(1), hostPort(2)); len(got) != 1 || got[hostPort(1)].Task != "w" {
		t.Errorf("owners %v", got)
	}
}

func TestManyPortsAreClaimedReadAndReleasedInParts(t *testing.T) {
	f := newFixture(t)
	web := f.ported("register#prod/web", "a")
	var claims, old []plan.Claim
	version := noon.UnixMilli()
	var ports []cluster.HostPort
	for n := range 230 {
		claims, old, ports = append(claims, owned(n, "w", 0)), append(old, owned(n, "w", version)), append(ports, hostPort(n))
	}
	f.claim(web, claims...)
	if got := f.owners(f.ported("register#prod/api", "b"), ports...); len(got) != len(ports) {
		t.Errorf("%d of %d are read", len(got), len(ports))
	}
	if err := web.Release(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if got := f.owners(f.ported("register#prod/jobs", "c"), ports...); len(got) != 0 {
		t.Errorf("%d are left", len(got))
	}
}

// sparing leaves items of a batch out, as DynamoDB may.
type sparing struct {
	PortDB
	left int // answers that leave out all but one
}

func (s *sparing) BatchGetItem(ctx context.Context, in *dynamodb.BatchGetItemInput, o ...func(*dynamodb.Options)) (*dynamodb.BatchGetItemOutput, error) {
	keys := in.RequestItems["plimsoll"].Keys
	if s.left--; s.left < 0 || len(keys) < 2 {
		return s.PortDB.BatchGetItem(ctx, in, o...)
	}
	out, err := s.PortDB.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{"plimsoll": {Keys: keys[:1], ConsistentRead: aws.Bool(true)}}}, o...)
	if err == nil {
		out.UnprocessedKeys = map[string]types.KeysAndAttributes{"plimsoll": {Keys: keys[1:]}}
	}
	return out, err
}

func TestItemsThatABatchLeavesOutAreReadOrTheRoundFails(t *testing.T) {
	for left, whole := range map[int]bool{1: true, 2: true, 3: false} {
		f := newFixture(t)
		web := f.ported("register#prod/web", "a")
		f.claim(web, owned(1, "w", 0), owned(2, "w", 0), owned(3, "w", 0), owned(4, "w", 0), owned(5, "w", 0))
		api := f.ported("register#prod/api", "b")
		api.DB = &sparing{PortDB: api.DB, left: left}
		got, err := api.Owners(t.Context(), []cluster.HostPort{hostPort(1), hostPort(2), hostPort(3), hostPort(4), hostPort(5)})
		if (err == nil) != whole || whole && len(got) != 5 {
			t.Errorf("%d answers cut: %d owners, %v", left, len(got), err)
		}
	}
}

func TestAHostPortIsReadAsItIsWritten(t *testing.T) {
	for _, p := range []cluster.HostPort{hostPort(1), {Instance: "mi-x", Port: 65535, Protocol: "udp"}} {
		if got, err := parsePort(p.String()); err != nil || got != p {
			t.Errorf("%s is read as %+v, %v", p, got, err)
		}
	}
	for _, s := range []string{"", "i-0a1", "i-0a1:web/tcp", "i-0a1:80"} {
		if got, err := parsePort(s); err == nil {
			t.Errorf("%q is read as %+v", s, got)
		}
	}
}

// A record that was deleted and made anew is another one, to whoever read the old.
func TestARecordMadeAnewIsAnotherOne(t *testing.T) {
	f := newFixture(t)
	web, api := f.ported("register#prod/web", "a"), f.ported("register#prod/api", "b")
	f.claim(web, owned(1, "w", 0))
	read := f.version(1)
	if err := web.Release(t.Context(), []plan.Claim{owned(1, "w", read)}); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Millisecond)
	f.claim(web, owned(1, "w2", 0))
	if lost := f.claim(api, owned(1, "x", read)); len(lost) != 1 {
		t.Error("a record was taken for one that was there before")
	}
}

// Rounds of two keys claim and release ports in any order, by records read at any
// time: each has the owner that a simple model of locks gives it.
func TestOwnersOfPortsAreThoseOfAModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		keys := map[string]PortRecords{}
		model := map[cluster.HostPort]cluster.Owner{}
		read := []int64{0} // versions that somebody has seen
		for n := range rapid.IntRange(1, 25).Draw(r, "steps") {
			f.now = f.now.Add(time.Millisecond)
			of := rapid.SampledFrom([]string{"register#prod/web", "register#prod/api"}).Draw(r, "key")
			if _, open := keys[of]; !open || rapid.Bool().Draw(r, "anew") {
				keys[of] = f.ported(of, "same")
			}
			c := owned(rapid.IntRange(1, 2).Draw(r, "port"), fmt.Sprint("task", n), rapid.SampledFrom(read).Draw(r, "version"))
			is, there := model[c.Port]
			mine := there && is.Version == c.Owner.Version
			if rapid.Bool().Draw(r, "release") {
				if err := keys[of].Release(t.Context(), []plan.Claim{c}); err != nil {
					r.Fatal(err)
				}
				if mine {
					delete(model, c.Port)
				}
			} else {
				lost, err := keys[of].Claim(t.Context(), []plan.Claim{c})
				free := mine || !there && c.Owner.Version == 0
				if err != nil || (len(lost) == 0) != free {
					r.Fatalf("claim %+v of %+v: lost %v, %v", c, is, lost, err)
				}
				if free {
					c.Owner.Version = f.version(c.Port.Port)
					model[c.Port], read = c.Owner, append(read, c.Owner.Version)
				}
			}
			got := f.owners(f.ported("register#prod/onlooker", "same"), hostPort(1), hostPort(2))
			if !reflect.DeepEqual(got, model) {
				r.Fatalf("owners %+v, want %+v", got, model)
			}
		}
	})
}
