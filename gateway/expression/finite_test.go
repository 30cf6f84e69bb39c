package expression

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestResultsThatAreNotFinite(t *testing.T) {
	values := map[string]any{"zero": 0.0, "huge": math.MaxFloat64, "endless": math.Inf(1), "none": math.NaN(), "guard": 1.0}
	for text, want := range map[string]string{
		"1 / zero":                            "the result is +Inf, which is no finite number, at character 3",
		"-1 / zero":                           "the result is -Inf",
		"zero / zero":                         "the result is NaN",
		"1 / zero > 2":                        "the result is +Inf",
		"not (zero / zero > 2)":               "the result is NaN",
		"1 / (1 / zero) == 0":                 "the result is +Inf",
		"huge * 2 > 5":                        "the result is +Inf, which is no finite number, at character 6",
		"huge + huge > 5":                     "the result is +Inf",
		"-huge - huge < 5":                    "the result is -Inf",
		"10 ** 400 > 5":                       "the result is +Inf",
		"log(zero) < 0":                       "the result is -Inf, which is no finite number, at character 1",
		"sqrt(-1) != 2":                       "the result is NaN",
		"exp(1000) > 1":                       "the result is +Inf",
		"min(1 / zero, 3) == 3":               "the result is +Inf",
		"(1 / zero > 2) or true":              "the result is +Inf",
		"zero == 0 ? 1 / zero : 0":            "the result is +Inf",
		"endless > 2":                         "endless is +Inf, which is no finite number",
		"not (none > 2)":                      "none is NaN",
		"true or endless > 2":                 "endless is +Inf",
		`value("guard") / zero > 1`:           "the result is +Inf",
		`("a" + "b") == "ab" or 1 / zero > 2`: "",
	} {
		e, err := Compile(text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var machine Machine
		got, err := e.Run(&machine, values)
		if want == "" {
			if err != nil || got != true {
				t.Errorf("%s is %v, %v; want true", text, got, err)
			}
		} else if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s is %v, %v; want the error %s", text, got, err, want)
		}
	}
}

// tree is an expression that was made up, and calculates by itself.
type tree struct {
	text string
	// of is the value; ok is false if that takes a number that is not finite.
	of func() (v any, ok bool)
}

// grow makes up an expression that gives a number, or true or false.
func grow(r *rand.Rand, isNumber bool, depth int, values map[string]any) tree {
	number := func() tree { return grow(r, true, depth-1, values) }
	truth := func() tree { return grow(r, false, depth-1, values) }
	switch {
	case !isNumber && depth > 0 && r.IntN(3) > 0:
		return compared(number(), number(), []string{"<", "<=", ">", ">=", "==", "!="}[r.IntN(6)])
	case !isNumber && depth > 0:
		return joined(truth(), truth(), r.IntN(2) == 0)
	case !isNumber:
		b := r.IntN(2) == 0
		return tree{fmt.Sprint(b), func() (any, bool) { return b, true }}
	case depth <= 0 || r.IntN(5) == 0:
		name := string(rune('a' + r.IntN(len(values))))
		return tree{name, func() (any, bool) { return values[name], true }}
	case r.IntN(6) == 0:
		return chosen(truth(), number(), number())
	case r.IntN(3) == 0:
		name := []string{"abs", "ceil", "floor", "round", "sqrt", "exp", "log", "log10", "sin", "cos", "tan", "atan"}[r.IntN(12)]
		x := number()
		return tree{name + "(" + x.text + ")", func() (any, bool) {
			return steps(func(x ...float64) float64 { return calculations[name].(func(float64) float64)(x[0]) }, x)
		}}
	default:
		return calculated(number(), number(), []string{"+", "-", "*", "/", "**"}[r.IntN(5)])
	}
}

func steps(f func(...float64) float64, operands ...tree) (any, bool) {
	var x []float64
	for _, operand := range operands {
		v, ok := operand.of()
		if !ok {
			return nil, false
		}
		x = append(x, v.(float64))
	}
	y := f(x...)
	return y, !math.IsNaN(y) && !math.IsInf(y, 0)
}

func calculated(a, b tree, operator string) tree {
	f := map[string]func(a, b float64) float64{
		"+": func(a, b float64) float64 { return a + b }, "-": func(a, b float64) float64 { return a - b },
		"*": func(a, b float64) float64 { return a * b }, "/": func(a, b float64) float64 { return a / b }, "**": math.Pow,
	}[operator]
	return tree{"(" + a.text + operator + b.text + ")", func() (any, bool) {
		return steps(func(x ...float64) float64 { return f(x[0], x[1]) }, a, b)
	}}
}

func compared(a, b tree, operator string) tree {
	return tree{"(" + a.text + operator + b.text + ")", func() (any, bool) {
		x, ok1 := a.of()
		y, ok2 := b.of()
		if !ok1 || !ok2 {
			return nil, false
		}
		l, r := x.(float64), y.(float64)
		return map[string]bool{"<": l < r, "<=": l <= r, ">": l > r, ">=": l >= r, "==": l == r, "!=": l != r}[operator], true
	}}
}

func joined(a, b tree, and bool) tree {
	operator := map[bool]string{true: " and ", false: " or "}[and]
	return tree{"(" + a.text + operator + b.text + ")", func() (any, bool) {
		if v, ok := a.of(); !ok || v != and {
			return v, ok
		}
		return b.of()
	}}
}

func chosen(condition, a, b tree) tree {
	return tree{"(" + condition.text + " ? " + a.text + " : " + b.text + ")", func() (any, bool) {
		v, ok := condition.of()
		switch {
		case !ok:
			return nil, false
		case v == true:
			return a.of()
		default:
			return b.of()
		}
	}}
}

// TestNothingFollowsFromWhatIsNotFinite: an expression has a result if, and only if,
// all that it takes to calculate it is finite; whatever is made of it.
func TestNothingFollowsFromWhatIsNotFinite(t *testing.T) {
	results, unknowns := 0, 0
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 0))
		values := make(map[string]any)
		for i := range 5 {
			values[string(rune('a'+i))] = []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 3, 710, 1e9, -1e200, 5e-324, math.MaxFloat64}[r.IntN(11)]
		}
		made := grow(r, r.IntN(4) == 0, 4, values)
		e, err := Compile(made.text, nil)
		if err != nil { // too long
			continue
		}
		want, ok := made.of()
		var machine Machine
		got, err := e.Run(&machine, values)
		switch {
		case ok && (err != nil || got != want):
			t.Fatalf("seed %d: %s of %v is %v, %v; want %v", seed, made.text, values, got, err, want)
		case !ok && err == nil:
			t.Fatalf("seed %d: %s of %v is %v; want none, for a number in it that is not finite", seed, made.text, values, got)
		case ok:
			results++
		default:
			unknowns++
		}
	}
	if results < 500 || unknowns < 500 {
		t.Errorf("%d results and %d unknown; want some hundred of each", results, unknowns)
	}
}
