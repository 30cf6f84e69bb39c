package expression

import (
	"fmt"
	"math"
	"reflect"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
)

// guardName is the name of the function that lets only finite numbers pass. No
// quantity can have it.
const guardName = ""

// guard has the result of a node guarded: nothing must be concluded from an infinity,
// not even that it is more than 2.
func guard(node *ast.Node) {
	ast.Patch(node, &ast.CallNode{Callee: &ast.IdentifierNode{Value: guardName}, Arguments: []ast.Node{*node}})
}

func declareGuard(language *conf.Config) {
	language.Functions[guardName] = &builtin.Function{
		Name: guardName,
		Func: func(args ...any) (any, error) {
			if x, isNumber := args[0].(float64); isNumber && !isFinite(x) {
				return nil, fmt.Errorf("the result is %v, which is no finite number", x)
			}
			return args[0], nil
		},
		Validate: func(args []reflect.Type) (reflect.Type, error) { return args[0], nil },
	}
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
