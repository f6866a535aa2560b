package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"muster"
)

// Shells are those that Completion knows.
var Shells = []string{"bash", "zsh", "fish"}

// Completion is a script that completes commands, flags and their values, made from the
// same model that parses the command line. Hidden commands and flags are left out.
func Completion(model *kong.Application, shell string) (string, error) {
	places := appendPlaces(nil, model.Node, "", nil)
	switch shell {
	case "bash":
		return bashCompletion(model.Name, places), nil
	case "zsh":
		return zshCompletion(model.Name, places), nil
	case "fish":
		return fishCompletion(model.Name, places), nil
	}
	return "", muster.Invalid("shell", fmt.Sprintf("there is no completion for the shell %q", shell),
		"Use one of: "+strings.Join(Shells, ", ")+".")
}

// place is a point in the tree of commands, and what may be typed there.
type place struct {
	at       string // "/connector/list"; "" = the program itself
	commands []word
	values   []word // of positional arguments
	files    bool   // a positional argument is a file
	flags    []option
}

type word struct{ text, help string }

type option struct {
	word          // the text has no dashes
	short  string // one letter or ""
	bare   bool   // takes no value
	files  bool   // its value is a file
	values []string
}

func appendPlaces(places []place, node *kong.Node, at string, inherited []option) []place {
	p := place{at: at, flags: slices.Clone(inherited)}
	for _, f := range node.Flags {
		if !f.Hidden {
			p.flags = append(p.flags, flagOf(f))
		}
	}
	for _, argument := range node.Positional {
		for _, v := range choices(argument) {
			p.values = append(p.values, word{v, argument.Help})
		}
		p.files = p.files || isFile(argument, "")
	}
	i := len(places)
	places = append(places, p)
	for _, child := range node.Children {
		if child.Type != kong.CommandNode || child.Hidden {
			continue
		}
		places[i].commands = append(places[i].commands, word{child.Name, firstLine(child.Help)})
		places = appendPlaces(places, child, at+"/"+child.Name, p.flags)
	}
	return places
}

func flagOf(f *kong.Flag) option {
	out := option{word: word{f.Name, firstLine(f.Help)}, bare: f.IsBool() || f.IsCounter(), files: isFile(f.Value, f.PlaceHolder), values: choices(f.Value)}
	if f.Short != 0 {
		out.short = string(f.Short)
	}
	return out
}

// plain is what needs no quoting in any of the shells.
var plain = regexp.MustCompile(`^[A-Za-z0-9._/:-]+$`)

func choices(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return !plain.MatchString(s) })
}

func isFile(v *kong.Value, placeholder string) bool {
	return strings.HasSuffix(v.Name, "-file") || placeholder == "FILE" || placeholder == "F" || slices.Contains([]string{"path", "existingfile", "filecontent"}, v.Tag.Type)
}

func firstLine(help string) string {
	help, _, _ = strings.Cut(strings.TrimSpace(help), "\n")
	return help
}

// patterns lists "at --flag" and "at -f" of the flags that the test picks, quoted and
// joined as a case pattern; "" if there are none.
func patterns(places []place, pick func(option) bool) string {
	var all []string
	for _, p := range places {
		for _, f := range p.flags {
			if pick(f) {
				all = append(all, flagPattern(p, f))
			}
		}
	}
	return strings.Join(all, "|")
}

func flagPattern(p place, f option) string {
	pattern := quote(p.at + " --" + f.text)
	if f.short != "" {
		pattern += "|" + quote(p.at+" -"+f.short)
	}
	return pattern
}

// steps is the case pattern of all moves from one place to the next: "/sync".
func steps(places []place) string {
	var all []string
	for _, p := range places[1:] {
		all = append(all, quote(p.at))
	}
	return strings.Join(all, "|")
}

func takesOther(f option) bool { return !f.bare && !f.files && len(f.values) == 0 }

func takesFile(f option) bool { return f.files }

// quote is for bash and zsh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func texts(words []word) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.text
	}
	return all
}

func bashCompletion(name string, places []place) string {
	var b strings.Builder
	function := "_" + name
	fmt.Fprintf(&b, "# bash completion for %[1]s: source <(%[1]s completion bash)\n%[2]s() {\n", name, function)
	b.WriteString("\tlocal IFS=$' \\t\\n' at='' words='' i current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n")
	b.WriteString("\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase \"$at/${COMP_WORDS[i]}\" in\n")
	fmt.Fprintf(&b, "\t\t\t%s) at=$at/${COMP_WORDS[i]} ;;\n\t\tesac\n\tdone\n", steps(places))
	// Bash takes --flag=value apart into three words.
	b.WriteString("\tif [[ $current == = ]]; then\n\t\tcurrent=''\n\telif [[ $previous == = ]]; then\n\t\tprevious=${COMP_WORDS[COMP_CWORD-2]}\n\tfi\n")
	b.WriteString("\tCOMPREPLY=()\n\tcase \"$at $previous\" in\n")
	files := patterns(places, takesFile)
	if files != "" {
		fmt.Fprintf(&b, "\t\t%s)\n\t\t\tcompopt -o filenames 2>/dev/null\n\t\t\tIFS=$'\\n' COMPREPLY=($(compgen -f -- \"$current\"))\n\t\t\treturn ;;\n", files)
	}
	if other := patterns(places, takesOther); other != "" {
		fmt.Fprintf(&b, "\t\t%s) return ;;\n", other)
	}
	for _, p := range places {
		for _, f := range p.flags {
			if len(f.values) > 0 {
				fmt.Fprintf(&b, "\t\t%s) COMPREPLY=($(compgen -W %s -- \"$current\")); return ;;\n", flagPattern(p, f), quote(strings.Join(f.values, " ")))
			}
		}
	}
	b.WriteString("\tesac\n\tcase \"$at\" in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "\t\t%s)\n", quote(p.at))
		fmt.Fprintf(&b, "\t\t\tif [[ $current == -* ]]; then words=%s; else words=%s; fi\n", quote(strings.Join(dashed(p.flags), " ")),
			quote(strings.Join(append(texts(p.commands), texts(p.values)...), " ")))
		if p.files {
			b.WriteString("\t\t\tcompopt -o default 2>/dev/null\n")
		}
		b.WriteString("\t\t\t;;\n")
	}
	fmt.Fprintf(&b, "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\ncomplete -F %s %s\n", function, name)
	return b.String()
}

// dashed lists flags as they are typed.
func dashed(flags []option) []string {
	var all []string
	for _, f := range flags {
		if all = append(all, "--"+f.text); f.short != "" {
			all = append(all, "-"+f.short)
		}
	}
	return all
}

func zshCompletion(name string, places []place) string {
	var b strings.Builder
	function := "_" + name
	fmt.Fprintf(&b, "#compdef %[1]s\n# zsh completion for %[1]s: source <(%[1]s completion zsh), or save it as %[2]s in a folder of $fpath\n%[2]s() {\n", name, function)
	b.WriteString("\tlocal at='' previous=${words[CURRENT-1]} i\n\tlocal -a choices options\n")
	b.WriteString("\tfor ((i = 2; i < CURRENT; i++)); do\n\t\tcase \"$at/${words[i]}\" in\n")
	fmt.Fprintf(&b, "\t\t\t(%s) at=$at/${words[i]} ;;\n\t\tesac\n\tdone\n", steps(places))
	b.WriteString("\tif [[ ${words[CURRENT]} == --*=* ]]; then\n\t\tprevious=${words[CURRENT]%%=*}\n\t\tcompset -P '*='\n\tfi\n")
	b.WriteString("\tcase \"$at $previous\" in\n")
	if files := patterns(places, takesFile); files != "" {
		fmt.Fprintf(&b, "\t\t(%s) _files; return ;;\n", files)
	}
	if other := patterns(places, takesOther); other != "" {
		fmt.Fprintf(&b, "\t\t(%s) return ;;\n", other)
	}
	for _, p := range places {
		for _, f := range p.flags {
			if len(f.values) > 0 {
				fmt.Fprintf(&b, "\t\t(%s) compadd -- %s; return ;;\n", flagPattern(p, f), strings.Join(f.values, " "))
			}
		}
	}
	b.WriteString("\tesac\n\tcase \"$at\" in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "\t\t(%s)\n\t\t\tchoices=(%s)\n\t\t\toptions=(%s)\n", quote(p.at), described(slices.Concat(p.commands, p.values)), described(spelled(p.flags)))
		if p.files {
			b.WriteString("\t\t\t_files\n")
		}
		b.WriteString("\t\t\t;;\n")
	}
	b.WriteString("\tesac\n\tif [[ ${words[CURRENT]} == -* ]]; then\n\t\t_describe -o option options\n\telse\n\t\t_describe choice choices\n\tfi\n}\n")
	// Loaded from $fpath the file is the function's body; sourced it only defines it.
	fmt.Fprintf(&b, "if [[ ${funcstack[1]} == %[1]s ]]; then %[1]s \"$@\"; else compdef %[1]s %[2]s; fi\n", function, name)
	return b.String()
}

func spelled(flags []option) []word {
	all := make([]word, len(flags))
	for i, f := range flags {
		all[i] = word{"--" + f.text, f.help}
	}
	return all
}

// described is a list for zsh's _describe: 'name:what it is'.
func described(words []word) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = quote(strings.ReplaceAll(w.text, ":", `\:`) + ":" + w.help)
	}
	return strings.Join(all, " ")
}

func fishCompletion(name string, places []place) string {
	var b strings.Builder
	at := "__" + name + "_at"
	fmt.Fprintf(&b, "# fish completion for %[1]s: %[1]s completion fish | source\nfunction %[2]s\n    set -l at ''\n", name, at)
	b.WriteString("    for word in (commandline -opc)[2..-1]\n        switch \"$at/$word\"\n")
	fmt.Fprintf(&b, "            case %s\n                set at \"$at/$word\"\n        end\n", strings.ReplaceAll(steps(places), "|", " "))
	b.WriteString("    end\n    test \"$at\" = \"$argv[1]\"\nend\n")
	fmt.Fprintf(&b, "complete -c %s -f\n", name)
	for _, p := range places {
		here := fmt.Sprintf("complete -c %s -n %s", name, fishQuote(fmt.Sprintf("%s '%s'", at, p.at)))
		for _, w := range slices.Concat(p.commands, p.values) {
			fmt.Fprintf(&b, "%s -a %s -d %s\n", here, fishQuote(w.text), fishQuote(w.help))
		}
		if p.files {
			fmt.Fprintf(&b, "%s -F\n", here)
		}
		for _, f := range p.flags {
			b.WriteString(here + " -l " + f.text)
			if f.short != "" {
				b.WriteString(" -s " + f.short)
			}
			switch {
			case f.files:
				b.WriteString(" -r -F")
			case len(f.values) > 0:
				b.WriteString(" -x -a " + fishQuote(strings.Join(f.values, " ")))
			case !f.bare:
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuote(f.help))
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
