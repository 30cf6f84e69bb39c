package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// reader finds out what an expression names, and refuses what does not
// calculate. It turns whole numbers into fractions, and quantities with dots in
// their names into single names, and has what calculates guarded.
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
		err := errors.Join(r.read(&n.Left), r.read(&n.Right))
		if slices.Contains(arithmetic, n.Operator) {
			guard(node)
		}
		return err
	case *ast.ConditionalNode:
		return errors.Join(r.read(&n.Cond), r.read(&n.Exp1), r.read(&n.Exp2))
	case *ast.CallNode:
		return r.call(node, n)
	default:
		return notAllowed(n)
	}
}

// arithmetic operators give numbers; operators are all there are.
var (
	arithmetic = []string{"+", "-", "*", "/", "**", "^"}
	operators  = append(slices.Clone(arithmetic), "==", "!=", "<", "<=", ">", ">=", "and", "or", "&&", "||")
)

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
	if name == "" || name == "$env" || len(name) > MaxNameBytes {
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
	guard(node)
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
