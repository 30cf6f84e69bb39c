package gateway_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/fieldpost/fieldpost/gateway"
)

func TestValuesAsJSON(t *testing.T) {
	for text, v := range map[string]gateway.Value{
		"21.5": gateway.Number(21.5), "true": gateway.Bool(true), "false": gateway.Bool(false),
		`"open"`: gateway.Text("open"), `""`: gateway.Text(""), "0": {},
	} {
		data, err := json.Marshal(v)
		if err != nil || string(data) != text {
			t.Errorf("%v is written %s (%v), want %s", v, data, err, text)
		}
		var again gateway.Value
		if err := json.Unmarshal([]byte(text), &again); err != nil || again != v {
			t.Errorf("%s is read as %v (%v), want %v", text, again, err, v)
		}
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := gateway.Number(v).MarshalJSON(); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%v: %v, want ErrInvalid", v, err)
		}
	}
	for _, text := range []string{"null", "[1]", `{"a":1}`} {
		var v gateway.Value
		if err := json.Unmarshal([]byte(text), &v); !errors.Is(err, gateway.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", text, err)
		}
	}
}

func TestValuesByKind(t *testing.T) {
	number, flag, text := gateway.Number(2), gateway.Bool(true), gateway.Text("x")
	if n, ok := number.Number(); !ok || n != 2 {
		t.Error("a number is none")
	}
	if b, ok := flag.Bool(); !ok || !b {
		t.Error("a boolean is none")
	}
	if s, ok := text.Text(); !ok || s != "x" {
		t.Error("a text is none")
	}
	_, ok1 := flag.Number()
	_, ok2 := text.Bool()
	_, ok3 := number.Text()
	if ok1 || ok2 || ok3 {
		t.Error("a value is of two kinds")
	}
	if got := number.String() + " " + flag.String() + " " + text.String() + " " + gateway.Number(1e21).String(); got != "2 true x 1000000000000000000000" {
		t.Errorf("for people: %s", got)
	}
}
