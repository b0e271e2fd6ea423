package binary

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A tree is a message without its wire format: map[string]any, []any, string,
// float64, bool, time.Time or nil. What goes over the wire in JSON, CBOR or XML
// becomes one, and so does every input and output of the SDK.

// attribute is DynamoDB's union of values: the one type whose shape the
// fields of a Go struct do not tell.
var attribute = reflect.TypeFor[ddbtypes.AttributeValue]()

// fill sets a value of the SDK from a tree. A member that the SDK's type has not
// got is an error: then the front misunderstands the wire.
func fill(to reflect.Value, from any) error {
	if from == nil {
		return nil
	}
	switch {
	case to.Type() == attribute:
		v, err := attributeOf(from)
		if err == nil {
			to.Set(reflect.ValueOf(v))
		}
		return err
	case to.Type() == reflect.TypeFor[time.Time]():
		to.Set(reflect.ValueOf(from))
		return nil
	}
	switch to.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return fill(to.Elem(), from)
	case reflect.Struct:
		return fillStruct(to, from)
	case reflect.Slice:
		return fillSlice(to, from)
	case reflect.Map:
		return fillMap(to, from)
	default:
		return fillScalar(to, from)
	}
}

func fillStruct(to reflect.Value, from any) error {
	members, ok := from.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: found %T", to.Type(), from)
	}
	for name, v := range members {
		if name == numbered {
			continue
		}
		field := to.FieldByName(strings.ToUpper(name[:1]) + name[1:])
		if !field.IsValid() {
			return fmt.Errorf("%s has no member %s", to.Type(), name)
		}
		if err := fill(field, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func fillSlice(to reflect.Value, from any) error {
	list, ok := from.([]any)
	if !ok {
		return fmt.Errorf("%s: found %T", to.Type(), from)
	}
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for n, v := range list {
		if err := fill(to.Index(n), v); err != nil {
			return err
		}
	}
	return nil
}

func fillMap(to reflect.Value, from any) error {
	members, ok := from.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: found %T", to.Type(), from)
	}
	to.Set(reflect.MakeMap(to.Type()))
	for name, v := range members {
		value := reflect.New(to.Type().Elem()).Elem()
		if err := fill(value, v); err != nil {
			return err
		}
		to.SetMapIndex(reflect.ValueOf(name).Convert(to.Type().Key()), value)
	}
	return nil
}

// fillScalar also reads the texts that a query string has for numbers and truths.
func fillScalar(to reflect.Value, from any) error {
	switch v := from.(type) {
	case string:
		if to.Kind() == reflect.String {
			to.SetString(v)
			return nil
		}
		return json.Unmarshal([]byte(v), to.Addr().Interface())
	case bool:
		to.SetBool(v)
	case float64:
		to.Set(reflect.ValueOf(v).Convert(to.Type()))
	default:
		return fmt.Errorf("%s: found %T", to.Type(), from)
	}
	return nil
}

func attributeOf(from any) (ddbtypes.AttributeValue, error) {
	members, ok := from.(map[string]any)
	if !ok || len(members) != 1 {
		return nil, fmt.Errorf("an attribute value with %d members", len(members))
	}
	switch {
	case members["S"] != nil:
		return &ddbtypes.AttributeValueMemberS{Value: members["S"].(string)}, nil
	case members["N"] != nil:
		return &ddbtypes.AttributeValueMemberN{Value: members["N"].(string)}, nil
	case members["SS"] != nil:
		var set []string
		err := fill(reflect.ValueOf(&set).Elem(), members["SS"])
		return &ddbtypes.AttributeValueMemberSS{Value: set}, err
	default:
		return nil, fmt.Errorf("an attribute value of a type that the store does not write: %v", members)
	}
}

// tree is the tree of a value of the SDK. Members that are not set are left out.
func tree(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Time:
		return x
	case *ddbtypes.AttributeValueMemberS:
		return map[string]any{"S": x.Value}
	case *ddbtypes.AttributeValueMemberN:
		return map[string]any{"N": x.Value}
	case *ddbtypes.AttributeValueMemberSS:
		return map[string]any{"SS": tree(reflect.ValueOf(x.Value))}
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return tree(v.Elem())
	case reflect.Struct:
		return treeOfStruct(v)
	case reflect.Slice:
		list := make([]any, v.Len())
		for n := range list {
			list[n] = tree(v.Index(n))
		}
		return list
	case reflect.Map:
		members := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			members[it.Key().String()] = tree(it.Value())
		}
		return members
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	default:
		return v.Convert(reflect.TypeFor[float64]()).Float()
	}
}

func treeOfStruct(v reflect.Value) any {
	members := map[string]any{}
	for n := range v.NumField() {
		f := v.Type().Field(n)
		if !f.IsExported() || f.Name == "ResultMetadata" || absent(v.Field(n)) {
			continue
		}
		members[f.Name] = tree(v.Field(n))
	}
	return members
}

// absent says whether a member was not set. A number that is zero is set: no
// wire of AWS's leaves one out.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	default:
		return false
	}
}

// plain is the tree as encoding/json writes it: with times as seconds since
// 1970, and names that begin with a small letter if the service's do.
func plain(v any, small bool) any {
	switch x := v.(type) {
	case time.Time:
		return json.Number(strconv.FormatFloat(float64(x.UnixMilli())/1000, 'f', 3, 64))
	case []any:
		list := make([]any, len(x))
		for n := range x {
			list[n] = plain(x[n], small)
		}
		return list
	case map[string]any:
		members := map[string]any{}
		for name, m := range x {
			if small {
				name = strings.ToLower(name[:1]) + name[1:]
			}
			members[name] = plain(m, small)
		}
		return members
	default:
		return v
	}
}
