package simcloud

import (
	"bytes"
	"cmp"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// attributes is an item, or a part of one.
type attributes = map[string]types.AttributeValue

func invalid(format string, args ...any) error {
	return apiError("ValidationException", format, args...)
}

// copyItem copies an item deeply, with numbers in their normal form. It fails if
// a value is none that DynamoDB would take.
func copyItem(in attributes) (attributes, error) {
	out := make(attributes, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v, err := copyValue(in[name], 0)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

// cloneItem copies what is known to be good.
func cloneItem(in attributes) attributes {
	if in == nil {
		return nil
	}
	out, err := copyItem(in)
	if err != nil {
		panic("simcloud: a stored item: " + err.Error()) // it was copied in
	}
	return out
}

// maxDepth is how deep DynamoDB lets documents nest.
const maxDepth = 32

func copyValue(v types.AttributeValue, depth int) (types.AttributeValue, error) {
	if depth > maxDepth {
		return nil, invalid("Nesting Levels have exceeded supported limits")
	}
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return &types.AttributeValueMemberS{Value: v.Value}, nil
	case *types.AttributeValueMemberN:
		n, err := normalNumber(v.Value)
		return &types.AttributeValueMemberN{Value: n}, err
	case *types.AttributeValueMemberB:
		return &types.AttributeValueMemberB{Value: bytes.Clone(v.Value)}, nil
	case *types.AttributeValueMemberBOOL:
		return &types.AttributeValueMemberBOOL{Value: v.Value}, nil
	case *types.AttributeValueMemberNULL:
		return &types.AttributeValueMemberNULL{Value: v.Value}, nil
	case *types.AttributeValueMemberL, *types.AttributeValueMemberM:
		return copyDocument(v, depth)
	default:
		return copySet(v)
	}
}

func copyDocument(v types.AttributeValue, depth int) (types.AttributeValue, error) {
	if list, ok := v.(*types.AttributeValueMemberL); ok {
		out := make([]types.AttributeValue, len(list.Value))
		for i, e := range list.Value {
			var err error
			if out[i], err = copyValue(e, depth+1); err != nil {
				return nil, err
			}
		}
		return &types.AttributeValueMemberL{Value: out}, nil
	}
	m := v.(*types.AttributeValueMemberM).Value
	out := make(attributes, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		var err error
		if out[key], err = copyValue(m[key], depth+1); err != nil {
			return nil, err
		}
	}
	return &types.AttributeValueMemberM{Value: out}, nil
}

// copySet copies a set, sorted: DynamoDB promises no order.
func copySet(v types.AttributeValue) (types.AttributeValue, error) {
	switch v := v.(type) {
	case *types.AttributeValueMemberSS:
		out, err := sortedSet(v.Value)
		return &types.AttributeValueMemberSS{Value: out}, err
	case *types.AttributeValueMemberNS:
		numbers := make([]string, len(v.Value))
		for i, n := range v.Value {
			var err error
			if numbers[i], err = normalNumber(n); err != nil {
				return nil, err
			}
		}
		out, err := sortedSet(numbers)
		return &types.AttributeValueMemberNS{Value: out}, err
	case *types.AttributeValueMemberBS:
		return nil, notSimulated("binary sets")
	default:
		return nil, invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	}
}

func sortedSet(in []string) ([]string, error) {
	out := slices.Sorted(slices.Values(in))
	if len(out) == 0 {
		return nil, invalid("One or more parameter values were invalid: An set may not be empty")
	}
	if n := len(slices.Compact(slices.Clone(out))); n != len(out) {
		return nil, invalid("One or more parameter values were invalid: Input collection %v contains duplicates.", in)
	}
	return out, nil
}

// number reads a decimal: at most 38 digits, from 1E-130 to 9.9E+125.
func number(s string) (*big.Rat, error) {
	mantissa, exponent, has := strings.Cut(strings.ToLower(s), "e")
	e := 0
	if has {
		var err error
		if e, err = strconv.Atoi(exponent); err != nil || e > 200 || e < -200 {
			return nil, badNumber(s)
		}
	}
	whole, fraction, _ := strings.Cut(strings.TrimLeft(mantissa, "+-"), ".")
	digits := whole + fraction
	if digits == "" || len(s) > 200 || strings.Trim(digits, "0123456789") != "" || len(mantissa)-len(strings.TrimLeft(mantissa, "+-")) > 1 {
		return nil, badNumber(s)
	}
	r, ok := new(big.Rat).SetString(mantissa + "e" + strconv.Itoa(e))
	if !ok {
		return nil, badNumber(s)
	}
	return r, checkRange(s, strings.Trim(digits, "0"), r)
}

func badNumber(s string) error {
	return invalid("The parameter cannot be converted to a numeric value: %s", s)
}

func checkRange(s, significant string, r *big.Rat) error {
	if len(significant) > 38 {
		return invalid("Attempting to store more than 38 significant digits in a Number: %s", s)
	}
	if len(s) < 100 && !strings.ContainsAny(s, "eE") {
		return nil // too short to be out of range
	}
	size := new(big.Rat).Abs(r)
	most, least := powerOf10(126), new(big.Rat).Inv(powerOf10(130))
	if r.Sign() != 0 && (size.Cmp(most) >= 0 || size.Cmp(least) < 0) {
		return invalid("Number overflow or underflow: %s", s)
	}
	return nil
}

func powerOf10(n int64) *big.Rat {
	return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(n), nil))
}

// normalNumber writes a number as DynamoDB returns it: no leading or trailing
// zeros.
func normalNumber(s string) (string, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && strconv.FormatInt(n, 10) == s {
		return s, nil // nearly all of them, and the rest is slow
	}
	r, err := number(s)
	if err != nil {
		return "", err
	}
	return numberText(r), nil
}

// numberText writes a decimal exactly: its denominator has no factor but 2 and 5.
func numberText(r *big.Rat) string {
	places, _ := r.FloatPrec()
	return r.FloatString(places)
}

func mustNumber(s string) *big.Rat {
	r, err := number(s)
	if err != nil {
		panic("simcloud: a stored number: " + s) // it was checked on its way in
	}
	return r
}

// equalValues compares two values of which at least one is there.
func equalValues(a, b types.AttributeValue) bool {
	switch a := a.(type) {
	case *types.AttributeValueMemberL:
		b, ok := b.(*types.AttributeValueMemberL)
		return ok && slices.EqualFunc(a.Value, b.Value, equalValues)
	case *types.AttributeValueMemberM:
		b, ok := b.(*types.AttributeValueMemberM)
		return ok && maps.EqualFunc(a.Value, b.Value, equalValues)
	case *types.AttributeValueMemberSS:
		b, ok := b.(*types.AttributeValueMemberSS)
		return ok && slices.Equal(a.Value, b.Value)
	case *types.AttributeValueMemberNS:
		b, ok := b.(*types.AttributeValueMemberNS)
		return ok && slices.Equal(a.Value, b.Value)
	default:
		return equalScalars(a, b)
	}
}

func equalScalars(a, b types.AttributeValue) bool {
	switch a := a.(type) {
	case *types.AttributeValueMemberBOOL:
		b, ok := b.(*types.AttributeValueMemberBOOL)
		return ok && a.Value == b.Value
	case *types.AttributeValueMemberNULL:
		b, ok := b.(*types.AttributeValueMemberNULL)
		return ok && a.Value == b.Value
	default:
		order, ok := orderValues(a, b)
		return ok && order == 0
	}
}

// orderValues orders two strings, numbers or binaries; other pairs have no order.
func orderValues(a, b types.AttributeValue) (int, bool) {
	switch a := a.(type) {
	case *types.AttributeValueMemberS:
		if b, ok := b.(*types.AttributeValueMemberS); ok {
			return cmp.Compare(a.Value, b.Value), true
		}
	case *types.AttributeValueMemberN:
		if b, ok := b.(*types.AttributeValueMemberN); ok {
			return mustNumber(a.Value).Cmp(mustNumber(b.Value)), true
		}
	case *types.AttributeValueMemberB:
		if b, ok := b.(*types.AttributeValueMemberB); ok {
			return bytes.Compare(a.Value, b.Value), true
		}
	}
	return 0, false
}

// itemSize is how many bytes DynamoDB counts, near enough.
func itemSize(item attributes) int {
	size := 0
	for name, v := range item {
		size += len(name) + valueSize(v)
	}
	return size
}

func valueSize(v types.AttributeValue) int {
	size := 0
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return len(v.Value)/2 + 2
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberSS:
		for _, s := range v.Value {
			size += len(s)
		}
	case *types.AttributeValueMemberNS:
		for _, n := range v.Value {
			size += len(n)/2 + 2
		}
	case *types.AttributeValueMemberL:
		size = 3
		for _, e := range v.Value {
			size += 1 + valueSize(e)
		}
	case *types.AttributeValueMemberM:
		size = 3 + len(v.Value) + itemSize(v.Value)
	default: // true, false, null
		return 1
	}
	return size
}

// typeName is DynamoDB's letter for the type of a value.
func typeName(v types.AttributeValue) string {
	switch v.(type) {
	case *types.AttributeValueMemberS:
		return "S"
	case *types.AttributeValueMemberN:
		return "N"
	case *types.AttributeValueMemberB:
		return "B"
	case *types.AttributeValueMemberBOOL:
		return "BOOL"
	case *types.AttributeValueMemberNULL:
		return "NULL"
	case *types.AttributeValueMemberL:
		return "L"
	case *types.AttributeValueMemberM:
		return "M"
	case *types.AttributeValueMemberSS:
		return "SS"
	case *types.AttributeValueMemberNS:
		return "NS"
	default:
		return "BS"
	}
}
