// Package expression calculates with quantities, at a cost that is known before
// anything is calculated.
package expression

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/fieldpost/fieldpost/gateway"
)

// MaxBytes and MaxNodes bound an expression. As nothing in it repeats, and it makes no
// collections, that bounds its cost.
const (
	MaxBytes = 500
	MaxNodes = 100
)

// Machine runs expressions, one at a time; it may be used again. The zero value is
// ready.
type Machine = vm.VM

// MaxNameBytes bounds the name of a quantity in an expression.
const MaxNameBytes = 320

// Expression calculates with quantities, as in
//
//	temperature - (100 - humidity) / 5
//
// It is written in the language of github.com/expr-lang/expr, of which there is
// what calculates: numbers (all of them fractions), true, false, texts in
// quotes, quantities, + - * / **, comparisons, and or not, a ? b : c, and the
// functions of calculations. A quantity whose name is no word, such as
// flow-rate, is written value("flow-rate").
//
// What is not finite, such as a division by zero, is no number to go on with: Run
// fails, whatever would be made of it.
type Expression struct {
	program *vm.Program
	// Inputs are the quantities that it names, in the order of their first use.
	Inputs []string
	// result is the kind of the result, as far as it is known.
	result reflect.Kind
}

// Compile makes an expression. Of the quantities in known, which have a value of
// their kind there, the kinds are checked; of others, that shows when they come.
func Compile(text string, known map[string]gateway.Value) (*Expression, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("has %d bytes; want at most %d", len(text), MaxBytes)
	}
	language := conf.CreateNew()
	language.MaxNodes = MaxNodes
	for name := range language.Builtins {
		language.Disabled[name] = true
	}
	clear(language.Builtins)
	declare(language)
	declareGuard(language)
	tree, err := parser.ParseWithConfig(text, language)
	if err != nil {
		return nil, oneFault(err)
	}
	r := reader{}
	if err := r.read(&tree.Node); err != nil {
		return nil, err
	}
	env := types.Map{}
	for _, name := range r.inputs {
		env[name] = kindOf(known, name)
	}
	language.WithEnv(env)
	result, err := checker.Check(tree, language)
	if err != nil {
		return nil, oneFault(err)
	}
	program, err := compiler.Compile(tree, language)
	if err != nil {
		return nil, oneFault(err)
	}
	return &Expression{program, r.inputs, result.Kind()}, nil
}

// Condition makes an expression that is true or false.
func Condition(text string, known map[string]gateway.Value) (*Expression, error) {
	e, err := Compile(text, known)
	if err != nil {
		return nil, err
	}
	switch e.result {
	case reflect.Float64:
		return nil, errors.New("is a number; want a condition, such as temperature > 35")
	case reflect.String:
		return nil, errors.New("is a text; want a condition, such as mode == \"eco\"")
	}
	return e, nil
}

// kindOf is the kind of a quantity for the language.
func kindOf(known map[string]gateway.Value, name string) types.Type {
	v, isKnown := known[name]
	if !isKnown {
		return types.Any
	}
	return types.TypeOf(Plain(v))
}

// Run calculates with values that are float64, bool or string.
func (e *Expression) Run(machine *Machine, values map[string]any) (any, error) {
	for _, name := range e.Inputs {
		if x, isNumber := values[name].(float64); isNumber && !isFinite(x) {
			return nil, fmt.Errorf("%s is %v, which is no finite number", name, x)
		}
	}
	result, err := machine.Run(e.program, values)
	if err != nil {
		return nil, oneFault(err)
	}
	return result, nil
}

// Plain is a value for the language of expressions.
func Plain(v gateway.Value) any {
	if x, ok := v.Number(); ok {
		return x
	}
	if b, ok := v.Bool(); ok {
		return b
	}
	text, _ := v.Text()
	return text
}

// oneFault says what is wrong without the picture of the place that the
// language draws over several lines.
func oneFault(err error) error {
	var fault *file.Error
	if !errors.As(err, &fault) {
		return err
	}
	message, _, _ := strings.Cut(fault.Message, "\n")
	if strings.Contains(message, `Operator("=")`) {
		message = "= compares nothing; want =="
	}
	return fmt.Errorf("%s, at character %d", message, fault.Column+1)
}
