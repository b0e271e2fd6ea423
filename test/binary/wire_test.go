package binary

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/cbor"
)

// request is one call of the SDK as it came over the wire.
type request struct {
	service string // as in Action: dynamodb, sqs, ecs, autoscaling, cloudwatch, elasticloadbalancing, servicediscovery, ec2
	action  string
	input   any // a tree
	wire    wire
}

// name is the call as reports name it.
func (r request) name() string { return r.service + ":" + r.action }

// wire is a service's format of answers.
type wire struct {
	contentType string
	answer      func(action string, output any) []byte
	refuse      func(code, message string, more map[string]any) []byte
}

// read decodes a request by the format that its service speaks.
func read(r *http.Request) (request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return request{}, err
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return readJSON(target, body)
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/service/GraniteServiceVersion20100801/operation/"); ok {
		v, err := cbor.Decode(body)
		return request{service: "cloudwatch", action: rest, input: fromCBOR(v), wire: cborWire()}, err
	}
	return readQuery(string(body))
}

// readJSON reads awsJson: the header names the service and the operation.
func readJSON(target string, body []byte) (request, error) {
	prefix, action, _ := strings.Cut(target, ".")
	services := map[string]string{"DynamoDB_20120810": "dynamodb", "AmazonSQS": "sqs", "AmazonEC2ContainerServiceV20141113": "ecs", "Route53AutoNaming_v20170314": "servicediscovery"}
	r := request{service: services[prefix], action: action}
	if r.service == "" {
		return r, fmt.Errorf("nobody knows %q", target)
	}
	r.wire = jsonWire(r.service == "ecs")
	return r, json.Unmarshal(body, &r.input)
}

// readQuery reads the query protocol: Names.member.1=a becomes a list, and so does
// Targets.member.1.Id=a, of structures. The version says whose it is.
func readQuery(body string) (request, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return request{}, err
	}
	service := map[string]string{"2011-01-01": "autoscaling", "2015-12-01": "elasticloadbalancing", "2016-11-15": "ec2"}[form.Get("Version")]
	r := request{service: service, action: form.Get("Action"), wire: queryWire()}
	input := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		list, number, isList := strings.Cut(name, ".member.")
		switch {
		case name == "Action" || name == "Version":
		case !isList:
			input[name] = form.Get(name)
		default:
			all, _ := input[list].([]any)
			input[list] = listed(all, number, form.Get(name))
		}
	}
	r.input = input
	if r.action == "" || r.service == "" {
		return r, fmt.Errorf("no action, or of nobody, in %.80q", body)
	}
	return r, nil
}

// listed adds what a form says of one member of a list, such as 2 or 2.Port. Forms
// are read in the order of their names, in which 10 comes before 2: what a list has
// in it counts here, not where.
func listed(all []any, number, value string) []any {
	index, of, structured := strings.Cut(number, ".")
	if !structured {
		return append(all, value)
	}
	if n := len(all) - 1; n >= 0 && all[n].(map[string]any)[numbered] == index {
		all[n].(map[string]any)[of] = value
		return all
	}
	return append(all, map[string]any{numbered: index, of: value})
}

// numbered is the place of a structure in its list, which no structure has a name
// for.
const numbered = ""

// jsonWire writes awsJson 1.0 and 1.1; small says whether names begin so.
func jsonWire(small bool) wire {
	encode := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(err) // a tree always can be
		}
		return raw
	}
	return wire{
		contentType: "application/x-amz-json-1.0",
		answer:      func(_ string, output any) []byte { return encode(plain(output, small)) },
		refuse: func(code, message string, more map[string]any) []byte {
			all := map[string]any{"__type": "com.amazonaws#" + code, "message": message}
			maps.Copy(all, more)
			return encode(plain(all, false))
		},
	}
}

// queryWire writes the XML of the query protocol.
func queryWire() wire {
	return wire{
		contentType: "text/xml",
		answer: func(action string, output any) []byte {
			return fmt.Appendf(nil, "<%sResponse><%sResult>%s</%sResult></%sResponse>", action, action, markup(output), action, action)
		},
		refuse: func(code, message string, _ map[string]any) []byte {
			return fmt.Appendf(nil, "<ErrorResponse><Error><Type>Sender</Type>%s</Error></ErrorResponse>", markup(map[string]any{"Code": code, "Message": message}))
		},
	}
}

func markup(v any) string {
	var out strings.Builder
	switch x := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(x)) {
			fmt.Fprintf(&out, "<%s>%s</%s>", name, markup(x[name]), name)
		}
	case []any:
		for _, m := range x {
			fmt.Fprintf(&out, "<member>%s</member>", markup(m))
		}
	case time.Time:
		out.WriteString(x.UTC().Format(time.RFC3339Nano))
	case float64:
		out.WriteString(strconv.FormatFloat(x, 'f', -1, 64))
	default:
		_ = xml.EscapeText(&out, fmt.Append(nil, x)) // a Builder takes everything
	}
	return out.String()
}

// cborWire writes rpcv2Cbor.
func cborWire() wire {
	return wire{
		contentType: "application/cbor",
		answer:      func(_ string, output any) []byte { return cbor.Encode(toCBOR(output)) },
		refuse: func(code, message string, _ map[string]any) []byte {
			return cbor.Encode(cbor.Map{"__type": cbor.String("com.amazonaws#" + code), "message": cbor.String(message)})
		},
	}
}

func toCBOR(v any) cbor.Value {
	switch x := v.(type) {
	case map[string]any:
		m := cbor.Map{}
		for name, member := range x {
			m[name] = toCBOR(member)
		}
		return m
	case []any:
		list := make(cbor.List, len(x))
		for n := range x {
			list[n] = toCBOR(x[n])
		}
		return list
	case string:
		return cbor.String(x)
	case bool:
		return cbor.Bool(x)
	case float64:
		return cbor.Float64(x)
	case time.Time:
		return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(x.UnixMilli()) / 1000)}
	default:
		return &cbor.Nil{}
	}
}

func fromCBOR(v cbor.Value) any {
	switch x := v.(type) {
	case cbor.Map:
		m := map[string]any{}
		for name, member := range x {
			m[name] = fromCBOR(member)
		}
		return m
	case cbor.List:
		list := make([]any, len(x))
		for n := range x {
			list[n] = fromCBOR(x[n])
		}
		return list
	case cbor.String:
		return string(x)
	case cbor.Bool:
		return bool(x)
	case cbor.Uint:
		return float64(x)
	case cbor.Float64:
		return float64(x)
	case *cbor.Tag:
		at, err := cbor.AsTime(x)
		if err != nil {
			return nil
		}
		return at
	default:
		return nil
	}
}

// call decodes the request for a port's method of that name, calls it, and
// returns the wire's answer with its HTTP status.
func (r request) call(port any) (int, []byte) {
	method := reflect.ValueOf(port).MethodByName(r.action)
	if !method.IsValid() {
		return http.StatusBadRequest, r.wire.refuse("UnknownOperationException", r.name()+" is not simulated", nil)
	}
	in := reflect.New(method.Type().In(1).Elem())
	if err := fill(in.Elem(), r.input); err != nil {
		return http.StatusBadRequest, r.wire.refuse("SerializationException", r.name()+": "+err.Error(), nil)
	}
	out := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), in})
	if err, _ := out[1].Interface().(error); err != nil {
		return r.refusal(err)
	}
	return http.StatusOK, r.wire.answer(r.action, tree(out[0].Elem()))
}

// refusal is an error of simcloud's as AWS writes it.
func (r request) refusal(err error) (int, []byte) {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return http.StatusInternalServerError, r.wire.refuse("InternalFailure", err.Error(), nil)
	}
	status := http.StatusBadRequest
	if api.ErrorFault() == smithy.FaultServer {
		status = http.StatusInternalServerError
	}
	more, _ := tree(reflect.ValueOf(api)).(map[string]any) // such as the reasons of a cancelled transaction
	for _, name := range []string{"Message", "ErrorCodeOverride", "Code", "Fault"} {
		delete(more, name)
	}
	return status, r.wire.refuse(api.ErrorCode(), api.ErrorMessage(), more)
}
