package events

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of strings, in characters.
const (
	maxName = 256  // AWS's names are of 255 characters and less, a source of 256
	maxARN  = 2048 // the longest that AWS accepts anywhere
	maxPath = 2048 // a parameter's name with its path is of 1,011 and less
)

// firstError keeps the first problem of a message; what comes after may only
// follow from it.
type firstError struct{ err error }

// fields reads the members of one object by name and keeps the first error, so
// that a decoder is a list of what it needs. After an error every answer is
// empty or meaningless, and the event is not used.
type fields struct {
	path    string // of the object, with a dot behind; empty at the top
	members object
	first   *firstError
}

// fail notes that a member is not as needed.
func (f *fields) fail(name, format string, args ...any) {
	if f.first.err == nil {
		f.first.err = fmt.Errorf("%s%s: %s: %w", f.path, name, fmt.Sprintf(format, args...), ErrMalformed)
	}
}

// has says whether the member is there; null stands for absence, as AWS uses it.
func (f *fields) has(name string) bool { return f.members[name] != nil }

// object returns a needed object.
func (f *fields) object(name string) *fields {
	inner := &fields{path: f.path + name + ".", first: f.first}
	if !f.has(name) {
		f.fail(name, "missing")
		return inner
	}
	members, ok := f.members[name].(object)
	if !ok {
		f.fail(name, "want an object, found %s", kindOf(f.members[name]))
	}
	inner.members = members
	return inner
}

// text returns a needed string: not empty, printable, limit characters at most.
func (f *fields) text(name string, limit int) string {
	if !f.has(name) {
		f.fail(name, "missing")
		return ""
	}
	s := f.textOr(name, limit)
	if s == "" {
		f.fail(name, "empty")
	}
	return s
}

// textOr returns a string as text does; it is empty if it is empty or missing.
func (f *fields) textOr(name string, limit int) string {
	if !f.has(name) {
		return ""
	}
	return f.checked(name, f.members[name], limit)
}

// texts returns a list of strings, which may be missing.
func (f *fields) texts(name string, limit int) []string {
	if !f.has(name) {
		return nil
	}
	list, ok := f.members[name].([]any)
	if !ok {
		f.fail(name, "want an array, found %s", kindOf(f.members[name]))
	}
	var all []string
	for _, v := range list {
		all = append(all, f.checked(name, v, limit))
	}
	return all
}

// checked returns v if it is a string fit for a log line and a key.
func (f *fields) checked(name string, v any, limit int) string {
	s, ok := v.(string)
	switch {
	case !ok:
		f.fail(name, "want a string, found %s", kindOf(v))
	case utf8.RuneCountInString(s) > limit:
		f.fail(name, "longer than %d characters", limit)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		f.fail(name, "has a character that cannot be printed")
	default:
		return s
	}
	return ""
}

// moment returns a needed time. CloudWatch writes its zone as +0000, which RFC
// 3339 does not know.
func (f *fields) moment(name string) time.Time {
	s := f.text(name, maxName)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05-0700", s)
	}
	if err != nil {
		f.fail(name, "want a time, found %q", s)
	}
	return t.UTC()
}

// account returns a needed account id.
func (f *fields) account(name string) string {
	s := f.text(name, maxName)
	if len(s) != 12 || strings.Trim(s, digits) != "" {
		f.fail(name, "want 12 digits, found %q", s)
	}
	return s
}

// region returns a needed region.
func (f *fields) region(name string) string {
	s := f.text(name, maxName)
	if strings.Trim(s, lower+digits+"-") != "" {
		f.fail(name, "want a region, found %q", s)
	}
	return s
}

// instance returns the id of an instance, which may be missing.
func (f *fields) instance(name string) string {
	s := f.textOr(name, maxName)
	hex, ok := strings.CutPrefix(strings.TrimPrefix(s, "m"), "i-")
	if s != "" && (!ok || hex == "" || len(hex) > 32 || strings.Trim(hex, digits+"abcdef") != "") {
		f.fail(name, "want an instance id, found %q", s)
	}
	return s
}
