// Command mutants writes many changes of Go sources so that one program holds them all, each switched on by its
// number. `npm run mutants` builds it for a package and runs the tests once for each number. Never shipped.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"sort"
	"strings"
)

// change replaces `length` bytes at `at` of a source.
type change struct {
	ID     int    `json:"id"`
	At     int    `json:"at"`
	Length int    `json:"length"`
	To     string `json:"to"`
}

// request is one JSON text on stdin. The answer on stdout has the source with the changes, and what became of each:
// "switched", "syntax" where it is no Go, "alone" where it has no place for a switch.
type request struct {
	Source  string   `json:"source"`
	Changes []change `json:"changes"`
}

type reply struct {
	Source string         `json:"source"`
	States map[int]*state `json:"states"`
}

// state has the lines of the expression that is switched.
type state struct {
	Is    string `json:"is"`
	First int    `json:"first"`
	Last  int    `json:"last"`
}

func main() {
	var asked []request
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	replies := make([]reply, 0, len(asked))
	for _, each := range asked {
		switched, err := switchAll(each)
		if err != nil {
			fail(err)
		}
		replies = append(replies, switched)
	}
	if err := json.NewEncoder(os.Stdout).Encode(replies); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "mutants:", err)
	os.Exit(1)
}

// wrap is text before and after a part of the source.
type wrap struct {
	start, end    int
	before, after string
}

func switchAll(asked request) (reply, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "source.go", asked.Source, parser.ParseComments)
	if err != nil {
		return reply{}, err
	}
	tree := &sourceTree{text: asked.Source, file: files.File(file.Pos()), root: file}
	answer := reply{States: map[int]*state{}}
	var wraps []wrap
	for _, each := range asked.Changes {
		changed := asked.Source[:each.At] + each.To + asked.Source[each.At+each.Length:]
		if _, err := parser.ParseFile(token.NewFileSet(), "source.go", changed, parser.SkipObjectResolution); err != nil {
			answer.States[each.ID] = &state{Is: "syntax"}
			continue
		}
		found, ok := tree.wrapOf(each)
		answer.States[each.ID] = &state{Is: "alone"}
		if ok {
			wraps = append(wraps, found)
			answer.States[each.ID] = &state{"switched", tree.line(found.start), tree.line(found.end)}
		}
	}
	answer.Source = apply(asked.Source, wraps)
	return answer, nil
}

// apply inserts the texts; of two that begin or end at the same place the longer part is outside.
func apply(source string, wraps []wrap) string {
	sort.SliceStable(wraps, func(i, j int) bool {
		a, b := wraps[i], wraps[j]
		return a.start < b.start || a.start == b.start && a.end > b.end
	})
	var text strings.Builder
	var open []wrap
	at := 0
	closeUntil := func(limit int) {
		for len(open) > 0 && open[len(open)-1].end <= limit {
			last := open[len(open)-1]
			open = open[:len(open)-1]
			text.WriteString(source[at:last.end])
			text.WriteString(last.after)
			at = last.end
		}
	}
	for _, each := range wraps {
		closeUntil(each.start)
		text.WriteString(source[at:each.start])
		text.WriteString(each.before)
		at = each.start
		open = append(open, each)
	}
	closeUntil(len(source))
	text.WriteString(source[at:])
	return text.String()
}

type sourceTree struct {
	text string
	file *token.File
	root *ast.File
}

// wrapOf returns the switch of a change, around the smallest expression that the change leaves an expression.
func (t *sourceTree) wrapOf(each change) (wrap, bool) {
	first := each.At + len(t.text[each.At:]) - len(strings.TrimLeft(t.text[each.At:], " "))
	path := t.pathTo(first)
	for _, node := range path {
		if decl, ok := node.(*ast.GenDecl); ok && decl.Tok == token.CONST {
			return wrap{}, false
		}
		if array, ok := node.(*ast.ArrayType); ok && array.Len != nil && t.at(array.Len.Pos()) <= first &&
			first < t.at(array.Len.End()) {
			return wrap{}, false
		}
	}
	on := fmt.Sprintf("mutantOn(%d)", each.ID)
	if strings.HasPrefix(each.To, "false && (") {
		return wrap{each.At, each.At + each.Length, "(!" + on + " && (", "))"}, true
	}
	for depth := len(path) - 1; depth >= 0; depth-- {
		switch node := path[depth].(type) {
		case *ast.Ident:
			if node.Name == "true" || node.Name == "false" {
				return wrap{each.At, each.At + each.Length, "(", " != " + on + ")"}, true
			}
		case *ast.CallExpr:
			if t.at(node.Pos()) == first {
				return t.pick(node, each), true
			}
		case *ast.BinaryExpr:
			if t.at(node.OpPos) != first {
				continue
			}
			switch node.Op {
			case token.ADD, token.SUB:
				return t.pick(node, each), t.at(node.Y.End()) == each.At+each.Length
			case token.LAND, token.LOR:
				// The change may bind otherwise: the whole chain is written again.
				for ; depth > 0; depth-- {
					if up, ok := path[depth-1].(*ast.BinaryExpr); !ok || up.Op != token.LAND && up.Op != token.LOR {
						break
					}
				}
			}
			whole := path[depth]
			before := "(" + on + " && (" + t.changed(whole, each) + ") || !" + on + " && ("
			return wrap{t.at(whole.Pos()), t.at(whole.End()), before, "))"}, true
		}
	}
	return wrap{}, false
}

func (t *sourceTree) pick(node ast.Node, each change) wrap {
	before := fmt.Sprintf("mutantPick(%d, %s, ", each.ID, t.changed(node, each))
	return wrap{t.at(node.Pos()), t.at(node.End()), before, ")"}
}

// pathTo returns the nodes around a place, the file first.
func (t *sourceTree) pathTo(place int) []ast.Node {
	var path []ast.Node
	ast.Inspect(t.root, func(node ast.Node) bool {
		if node == nil || place < t.at(node.Pos()) || place >= t.at(node.End()) {
			return false
		}
		path = append(path, node)
		return true
	})
	return path
}

// changed returns a changed part on one line, so that each line of the source keeps its number.
func (t *sourceTree) changed(node ast.Node, each change) string {
	start, end := t.at(node.Pos()), t.at(node.End())
	text := t.text[start:each.At] + each.To + t.text[each.At+each.Length:end]
	files := token.NewFileSet()
	var tokens scanner.Scanner
	tokens.Init(files.AddFile("part.go", -1, len(text)), []byte(text), nil, 0)
	var words []string
	for {
		_, kind, literal := tokens.Scan()
		if kind == token.EOF {
			break
		}
		switch {
		case kind == token.SEMICOLON:
			literal = ";"
		case literal == "":
			literal = kind.String()
		}
		words = append(words, literal)
	}
	// The scanner ends the last line with a semicolon, too.
	return strings.TrimSuffix(strings.Join(words, " "), " ;")
}

func (t *sourceTree) line(offset int) int {
	return t.file.Line(t.file.Pos(offset))
}

func (t *sourceTree) at(place token.Pos) int {
	return t.file.Offset(place)
}
