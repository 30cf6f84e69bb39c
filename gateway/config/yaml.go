package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of the shape of a file. They keep a file from costing more time and
// memory than its size is worth.
const (
	maxDepth = 32
	maxKeys  = 20_000
)

// parse makes nodes of YAML text whose root is a mapping.
func parse(src *source, text string) (root *node, errs Errors) {
	b := builder{src: src}
	body := b.document(text)
	if b.errs != nil {
		return nil, b.errs
	}
	if body == nil {
		return nil, Errors{src.fault(1, 1, "", "the file is empty; want sections such as gateway: and devices:")}
	}
	root = b.build(body, 0)
	if root.form != mapping && b.errs == nil {
		b.fault(body.GetToken(), fmt.Sprintf("the file holds %v; want sections such as gateway: and devices:", root.form))
	}
	return root, b.errs
}

// builder turns the tree of the YAML library into nodes.
type builder struct {
	src  *source
	errs Errors
}

func (b *builder) fault(at *token.Token, problem string) {
	line, column := place(at)
	b.errs = append(b.errs, b.src.fault(line, column, "", problem))
}

func place(at *token.Token) (line, column int) {
	if at == nil || at.Position == nil {
		return 1, 1
	}
	return at.Position.Line, at.Position.Column
}

// document parses the text; nil without an error means that it holds nothing.
func (b *builder) document(text string) (body ast.Node) {
	defer func() { // no text that breaks the library may stop the gateway
		if p := recover(); p != nil {
			body, b.errs = nil, Errors{b.src.fault(1, 1, "", fmt.Sprintf("cannot be parsed as YAML: %v", p))}
		}
	}()
	tokens := lexer.Tokenize(text)
	if b.refuse(tokens); b.errs != nil {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		b.syntax(err, text)
		return nil
	}
	for i, doc := range file.Docs {
		if i > 0 {
			at := doc.Start
			if at == nil {
				at = doc.GetToken()
			}
			b.fault(at, secondDocument)
			return nil
		}
		body = doc.Body
	}
	return body
}

// syntax reports what the library says, in words that help.
func (b *builder) syntax(err error, text string) {
	at, ok := err.(interface { //nolint:errorlint // what the parser returns, not wrapped
		GetToken() *token.Token
		GetMessage() string
	})
	if !ok {
		b.fault(nil, "is not YAML: "+err.Error())
		return
	}
	message := at.GetMessage()
	if advice, known := advices[message]; known {
		message = advice
	}
	line, _ := place(at.GetToken())
	lines := strings.Split(text, "\n")
	if line <= len(lines) && strings.Contains(lines[line-1], "${") && strings.ContainsAny(lines[line-1], "{[") {
		message += `; inside { } and [ ], a value with ${…} needs quotes`
	}
	b.fault(at.GetToken(), "is not YAML: "+message)
}

// advices are for the messages of the library that say too little.
var advices = map[string]string{
	"found character '\t' that cannot start any token":                   "a tab; indent with spaces",
	"non-map value is specified":                                         "want key: value here, in line with the keys above",
	"value is not allowed in this context":                               "this does not fit the lines above; check the indentation and the quotes",
	"value is not allowed in this context. map key-value is pre-defined": "this does not belong to the value before it; check the indentation and the quotes",
	"mapping value is not allowed in this context":                       `a value cannot hold ": " without quotes; check also the indentation of the lines that follow`,
	"block sequence entries are not allowed in this context":             "a list begins on a line of its own",
	"found an invalid key for this map":                                  "want a plain name before the colon",
	"could not find end character of double-quoted text":                 `the text does not end; want a closing "`,
	"could not find end character of single-quoted text":                 "the text does not end; want a closing '",
	"unexpected key name":                                                "a key must be on one line and end with a colon",
	"unexpected null value":                                              "nothing stands here; want a value",
	"map key definition includes an implicit line break":                 "a key must be on one line",
	"'@' is a reserved character":                                        "a value that begins with @ needs quotes",
	"'`' is a reserved character":                                        "a value that begins with ` needs quotes",
}
