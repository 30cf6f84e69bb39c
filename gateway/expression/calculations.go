package expression

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/conf"
)

// calculations are the functions of expressions. Those with one argument are
// of the first kind; of the others, each takes as many as there are.
var calculations = map[string]any{
	"abs": math.Abs, "ceil": math.Ceil, "floor": math.Floor, "round": math.Round, "sqrt": math.Sqrt,
	"exp": math.Exp, "log": math.Log, "log10": math.Log10,
	"sin": math.Sin, "cos": math.Cos, "tan": math.Tan, "atan": math.Atan,
	"min": func(x ...float64) float64 { return slices.Min(x) },
	"max": func(x ...float64) float64 { return slices.Max(x) },
}

func calculationNames() string {
	return strings.Join(slices.Sorted(maps.Keys(calculations)), ", ")
}

// declare makes the calculations known to the language.
func declare(language *conf.Config) {
	for name, f := range calculations {
		switch f := f.(type) {
		case func(float64) float64:
			expr.Function(name, func(args ...any) (any, error) {
				x, err := arguments(name, args)
				if err != nil {
					return nil, err
				}
				return f(x[0]), nil
			}, f)(language)
		case func(...float64) float64:
			expr.Function(name, func(args ...any) (any, error) {
				x, err := arguments(name, args)
				if err != nil {
					return nil, err
				}
				return f(x...), nil
			}, f)(language)
		}
	}
}

// arguments are the arguments of a function.
func arguments(function string, args []any) ([]float64, error) {
	if len(args) == 0 {
		return nil, errors.New(function + " has no argument; want at least one number")
	}
	x := make([]float64, len(args))
	for i, arg := range args {
		var ok bool
		if x[i], ok = arg.(float64); !ok {
			return nil, fmt.Errorf("%s is given %T; want numbers", function, arg)
		}
	}
	return x, nil
}
