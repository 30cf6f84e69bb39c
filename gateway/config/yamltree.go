package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// refused are the marks of YAML that a config does without: each lets a small
// file mean something large or surprising.
var refused = map[token.Type]string{
	token.AnchorType:     "anchors are not allowed; a value that begins with & needs quotes",
	token.AliasType:      "aliases are not allowed; a value that begins with * needs quotes",
	token.MergeKeyType:   "merge keys are not allowed; want each key written out",
	token.TagType:        "tags are not allowed; a value that begins with ! needs quotes",
	token.DirectiveType:  "directives are not allowed; a value that begins with % needs quotes",
	token.MappingKeyType: "keys with ? are not allowed; a value that begins with ? needs quotes",
}

// maxRefused bounds the report on a file that is not meant as a config at all.
const maxRefused = 20

// refuse checks the tokens, before the parser spends stack and time on them.
func (b *builder) refuse(tokens token.Tokens) {
	depth, dashes, keys, line := 0, 0, 0, 0
	begun := false // something of a document has come
	for _, t := range tokens {
		if at, _ := place(t); at != line {
			line, dashes = at, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth = max(0, depth-1)
		case token.SequenceEntryType:
			dashes++
		case token.MappingValueType:
			keys++
		case token.DocumentHeaderType:
			if begun && b.errs == nil {
				b.fault(t, secondDocument)
				return
			}
		}
		begun = begun || t.Type != token.CommentType
		if why := refused[t.Type]; why != "" {
			b.fault(t, why)
		}
		switch {
		case depth > maxDepth || dashes > maxDepth:
			b.fault(t, tooDeep)
			return
		case keys > maxKeys:
			b.fault(t, fmt.Sprintf("there are too many keys; want at most %d", maxKeys))
			return
		case len(b.errs) == maxRefused:
			return
		}
	}
}

const secondDocument = "a second document begins here; want one"

var tooDeep = fmt.Sprintf("sections and lists are too deep in one another; want at most %d levels", maxDepth)

// build makes a node of a value.
func (b *builder) build(value ast.Node, depth int) *node {
	if value == nil {
		return &node{line: 1, column: 1}
	}
	n := &node{}
	n.line, n.column = place(value.GetToken())
	if depth > maxDepth {
		b.fault(value.GetToken(), tooDeep)
		return n
	}
	switch value := value.(type) {
	case *ast.MappingNode:
		n.form = mapping
		b.entries(n, value, depth)
	case *ast.SequenceNode:
		n.form = list
		for _, item := range value.Values {
			n.items = append(n.items, b.build(item, depth+1))
		}
	case *ast.NullNode:
	case *ast.LiteralNode:
		n.form, n.raw = scalar, value.Value.Value
	case *ast.StringNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		t := value.GetToken()
		n.form, n.raw = scalar, t.Value
		n.plain = t.Type != token.SingleQuoteType && t.Type != token.DoubleQuoteType
	default:
		b.fault(value.GetToken(), fmt.Sprintf("a %v is not allowed; want text, a number, a list or a section", value.Type()))
	}
	n.text = n.raw
	return n
}

func (b *builder) entries(n *node, value *ast.MappingNode, depth int) {
	first := make(map[string]int) // the line of each key
	for i, pair := range value.Values {
		at := pair.Key.GetToken()
		e := entry{key: at.Value, value: b.build(pair.Value, depth+1)}
		e.line, e.column = place(at)
		if e.value.form == empty || e.value.line != e.line {
			// Nothing has no place of its own, and a section below its key is
			// sought at the key.
			e.value.line, e.value.column = e.line, e.column
		}
		if i == 0 && !value.IsFlowStyle {
			n.line, n.column = e.line, e.column
		}
		if line, twice := first[e.key]; twice {
			b.fault(at, fmt.Sprintf("the key %s stands in line %d too; want it once", quote(e.key), line))
			continue
		}
		first[e.key] = e.line
		n.entries = append(n.entries, e)
	}
}
