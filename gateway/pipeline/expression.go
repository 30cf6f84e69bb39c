package pipeline

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

const (
	// maxExpressionBytes and maxExpressionNodes bound an expression. As nothing
	// in it repeats, and it makes no collections, that bounds its cost.
	maxExpressionBytes = 500
	maxExpressionNodes = 100
)

// expression calculates with quantities, as in
//
//	temperature - (100 - humidity) / 5
//
// It is written in the language of github.com/expr-lang/expr, of which there is
// what calculates: numbers (all of them fractions), true, false, texts in
// quotes, quantities, + - * / **, comparisons, and or not, a ? b : c, and the
// functions of calculations. A quantity whose name is no word, such as
// flow-rate, is written value("flow-rate").
type expression struct {
	program *vm.Program
	// inputs are the quantities that it names, in the order of their first use.
	inputs []string
	// result is the kind of the result, as far as it is known.
	result reflect.Kind
}

// compile makes an expression. Of the quantities in known, which have a value of
// their kind there, the kinds are checked; of others, that shows when they come.
func compile(text string, known map[string]gateway.Value) (*expression, error) {
	if len(text) > maxExpressionBytes {
		return nil, fmt.Errorf("has %d bytes; want at most %d", len(text), maxExpressionBytes)
	}
	language := conf.CreateNew()
	language.MaxNodes = maxExpressionNodes
	for name := range language.Builtins {
		language.Disabled[name] = true
	}
	clear(language.Builtins)
	declare(language)
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
	return &expression{program, r.inputs, result.Kind()}, nil
}

// compileCondition makes an expression that is true or false.
func compileCondition(text string, known map[string]gateway.Value) (*expression, error) {
	e, err := compile(text, known)
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
	return types.TypeOf(plain(v))
}

// run calculates with values that are float64, bool or string.
func (e *expression) run(machine *vm.VM, values map[string]any) (any, error) {
	result, err := machine.Run(e.program, values)
	if err != nil {
		return nil, oneFault(err)
	}
	return result, nil
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
