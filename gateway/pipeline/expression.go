package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
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
	return fmt.Errorf("%s, at character %d", message, fault.Column+1)
}

// reader finds out what an expression names, and refuses what does not
// calculate. It turns whole numbers into fractions, and quantities with dots in
// their names into single names.
type reader struct{ inputs []string }

func (r *reader) read(node *ast.Node) error {
	switch n := (*node).(type) {
	case *ast.FloatNode, *ast.BoolNode, *ast.StringNode:
		return nil
	case *ast.IntegerNode:
		ast.Patch(node, &ast.FloatNode{Value: float64(n.Value)})
		return nil
	case *ast.IdentifierNode, *ast.MemberNode:
		name, ok := dotted(n)
		if !ok {
			return notAllowed(n)
		}
		return r.input(node, name)
	case *ast.UnaryNode:
		return r.read(&n.Node)
	case *ast.BinaryNode:
		if !slices.Contains(operators, n.Operator) {
			return fmt.Errorf("the operator %s is not known here; want one of %s", n.Operator, strings.Join(operators, " "))
		}
		return errors.Join(r.read(&n.Left), r.read(&n.Right))
	case *ast.ConditionalNode:
		return errors.Join(r.read(&n.Cond), r.read(&n.Exp1), r.read(&n.Exp2))
	case *ast.CallNode:
		return r.call(node, n)
	default:
		return notAllowed(n)
	}
}

var operators = []string{"+", "-", "*", "/", "**", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or", "&&", "||"}

func notAllowed(n ast.Node) error {
	return fmt.Errorf("%.40s is not allowed here; want quantities, numbers, true, false, texts in quotes, operators and functions", n)
}

// input puts a quantity into the place of a node.
func (r *reader) input(node *ast.Node, name string) error {
	if _, taken := calculations[name]; taken {
		return fmt.Errorf("%s is a function; want %s(…), or value(%q) for a quantity of this name", name, name, name)
	}
	return r.quantity(node, name)
}

func (r *reader) quantity(node *ast.Node, name string) error {
	if name == "" || name == "$env" || len(name) > maxQuantityBytes {
		return fmt.Errorf("%.40q cannot name a quantity", name)
	}
	ast.Patch(node, &ast.IdentifierNode{Value: name})
	if !slices.Contains(r.inputs, name) {
		r.inputs = append(r.inputs, name)
	}
	return nil
}

// call reads a function and its arguments.
func (r *reader) call(node *ast.Node, n *ast.CallNode) error {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		return notAllowed(n)
	}
	if callee.Value == "value" {
		if len(n.Arguments) == 1 {
			if name, ok := n.Arguments[0].(*ast.StringNode); ok {
				return r.quantity(node, name.Value)
			}
		}
		return errors.New(`want value("name") with the name of a quantity`)
	}
	if _, known := calculations[callee.Value]; !known {
		return fmt.Errorf("there is no function %.40s; want one of %s", callee.Value, calculationNames())
	}
	var faults []error
	for i := range n.Arguments {
		faults = append(faults, r.read(&n.Arguments[i]))
	}
	return errors.Join(faults...)
}

// dotted gives the name that a word, or words with dots between them, make.
func dotted(n ast.Node) (name string, ok bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value, true
	case *ast.MemberNode:
		first, ok1 := dotted(n.Node)
		last, ok2 := n.Property.(*ast.StringNode)
		if ok1 && ok2 && !n.Optional {
			return first + "." + last.Value, true
		}
	}
	return "", false
}
