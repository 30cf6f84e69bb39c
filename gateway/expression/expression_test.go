package expression

import (
	"math"
	"slices"
	"strings"
	"testing"
)

var sample = map[string]any{
	"temperature": 20.0, "humidity": 50.0, "door_open": true, "mode": "eco",
	"disk_used.root": 70.0, "flow-rate": 2.0, "count": 7.0, "min": 4.0,
}

func TestExpressions(t *testing.T) {
	for text, want := range map[string]any{
		"temperature - (100 - humidity) / 5":       10.0,
		"7 / 2":                                    3.5,
		"2 ** 3 + 2 ^ 2":                           12.0,
		"9223372036854775807 * 2 > 1e19":           true,
		"-temperature":                             -20.0,
		"temperature > 35":                         false,
		"temperature == 20":                        true,
		"10 < temperature and temperature <= 20":   true,
		"door_open":                                true,
		"not door_open or humidity < 60":           true,
		"!door_open && humidity < 60":              false,
		`mode == "eco" ? temperature : 0`:          20.0,
		`mode + "!"`:                               "eco!",
		"disk_used.root > 60":                      true,
		`value("flow-rate") * 60`:                  120.0,
		"count + 1":                                8.0,
		"min(temperature, humidity, 3)":            3.0,
		"max(temperature, humidity)":               50.0,
		`value("min")`:                             4.0,
		"round(temperature / 3)":                   7.0,
		"abs(-3) + ceil(0.5) + floor(1.5)":         5.0,
		"sqrt(16) + exp(0) + log(1) + log10(1000)": 8.0,
		"sin(0) + cos(0) + tan(0) + atan(0)":       1.0,
		"temperature == 0 ? 0 : 1 / temperature":   0.05,
		"false ? mode : temperature":               20.0,
	} {
		e, err := Compile(text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var machine Machine
		if got, err := e.Run(&machine, sample); err != nil || got != want {
			t.Errorf("%s is %v (%T), %v; want %v", text, got, got, err, want)
		}
	}
}

func TestInputsOfAnExpression(t *testing.T) {
	e, err := Condition(`b > 2 and a.x.y > b or value("c-d") > max(a, 1)`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "a.x.y", "c-d", "a"}; !slices.Equal(e.Inputs, want) {
		t.Errorf("inputs %v, want %v", e.Inputs, want)
	}
}

// TestRefusedExpressions: what is wrong, what repeats, and what makes
// collections; each with words that help.
func TestRefusedExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "unexpected",
		"temperature >":                       "unexpected token EOF, at character 13",
		"temperature 35":                      "unexpected token Number",
		"temperature = 35":                    "= compares nothing; want ==, at character 13",
		"35 °C":                               "unrecognized character",
		"temperatur(1)":                       "there is no function temperatur; want one of abs, atan, ceil",
		"len(mode)":                           "there is no function len",
		"now() > 5":                           "there is no function now",
		"sqrt":                                "sqrt is a function; want sqrt(…)",
		"sqrt(1, 2)":                          "too many arguments",
		`sqrt("a")`:                           "cannot use string",
		`1 + "a"`:                             "mismatched types float64 and string",
		"1..1000000000":                       "the operator .. is not known here; want one of + -",
		`mode matches "(a+)+b"`:               "the operator matches is not known",
		"mode in [1, 2]":                      "the operator in is not known",
		"7 % 2":                               "the operator % is not known",
		"a ?? b":                              "the operator ?? is not known",
		"[1, 2, 3]":                           "is not allowed here",
		"{a: 1}":                              "is not allowed here",
		"all(a, # > 1)":                       "all(a, # > 1) is not allowed here",
		"map(a, {#})":                         "is not allowed here",
		"reduce(a, #acc + #)":                 "is not allowed here",
		"let x = a; x + x":                    "is not allowed here",
		"a; b":                                "is not allowed here",
		"nil":                                 "nil is not allowed here",
		"a[0]":                                "is not allowed here",
		"a[1:2]":                              "is not allowed here",
		"a?.b":                                "is not allowed here",
		"a.b()":                               "is not allowed here",
		"$env":                                "cannot name a quantity",
		`value(a)`:                            `want value("name")`,
		`value("")`:                           `"" cannot name a quantity`,
		strings.Repeat("a+", 100) + "a":       "exceeds maximum allowed nodes",
		strings.Repeat("a", 501):              "has 501 bytes; want at most 500",
		strings.Repeat("(", 400):              "unexpected token EOF",
		"1e400":                               "",
		"99999999999999999999999999999999999": "",
	} {
		e, err := Compile(text, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") && !strings.Contains(text, "a+") {
			t.Errorf("%.40s: %v, %v; want %s", text, e, err, want)
		}
	}
	for text, want := range map[string]string{
		"1 + 2": "is a number; want a condition", `"hot"`: "is a text; want a condition", "sqrt(a)": "is a number", "1 >": "unexpected",
	} {
		if _, err := Condition(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s as a condition: %v, want %s", text, err, want)
		}
	}
}

// TestValuesThatDoNotFit are an error, never a panic.
func TestValuesThatDoNotFit(t *testing.T) {
	var machine Machine
	for text, want := range map[string]string{
		"mode > 5":           "at character 6",
		"-door_open":         "at character 1",
		"sqrt(mode)":         "sqrt is given string; want numbers",
		"min()":              "min has no argument",
		"not temperature":    "at character 1",
		"mode ? 1 : 2":       "at character 1",
		"temperature + mode": "at character 13",
	} {
		e, err := Compile(text, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.Run(&machine, sample); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s is %v, %v; want %s", text, got, err, want)
		}
	}
}

// FuzzExpression: what anybody writes is refused or calculates, and does not
// take more than its length allows.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"temperature > 35", "a.b ? min(1, c) : value(\"d e\")", "1..9", "[1,2", "map(a, {#})", "let x = 1; x", "\"\\u00", "a not in b",
		"if a {b} else {c}", "a | abs()", "-+!a", "0x1F + 0b1 + 1_000", "`raw`", "/* c */ a // d", "b'\\xff'", "a?.b", "1 < a < 3",
	} {
		f.Add(text)
	}
	values := []any{1.5, math.Copysign(0, -1), math.MaxFloat64, true, "text"}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Compile(text, nil)
		if err != nil {
			return
		}
		if n := len(e.program.Bytecode); n > 10*MaxNodes {
			t.Errorf("%d instructions", n)
		}
		var machine Machine
		for i := range values {
			env := make(map[string]any)
			for j, name := range e.Inputs {
				env[name] = values[(i+j)%len(values)]
			}
			if v, err := e.Run(&machine, env); err == nil && v != nil {
				switch v := v.(type) {
				case float64:
					if !isFinite(v) {
						t.Errorf("%q is %v", text, v)
					}
				case bool, string:
				default:
					t.Errorf("%q is %v, a %T", text, v, v)
				}
			}
		}
	})
}
