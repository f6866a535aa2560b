package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"muster"
)

type sampleSource struct {
	Cloud      string   `help:"The tenant's cloud." enum:"commercial,us,gcc-high" default:"commercial"`
	SecretFile string   `help:"File with the app's secret." placeholder:"FILE"`
	Tag        []string `help:"A device tag."`
	Full       bool     `help:"Read everything again."`
	Secret     string   `hidden:""`
}

type sample struct {
	Verbose bool `help:"Say more." short:"v"`
	Sync    struct {
		sampleSource
	} `cmd:"" help:"Gather one tenant's data."`
	Export struct {
		What   string `arg:"" enum:"devices,findings" help:"What to write."`
		Output string `help:"Where to write." short:"o" placeholder:"FILE"`
	} `cmd:"" help:"Write data."`
	Connector struct {
		List struct{} `cmd:"" help:"List them."`
		Run  struct {
			Wait bool `help:"Wait for the end."`
		} `cmd:"" help:"Run one."`
	} `cmd:"" help:"Connectors."`
	Secret struct{} `cmd:"" hidden:""`
}

func sampleModel(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&sample{}, kong.Name("muster"))
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func TestCompletionGolden(t *testing.T) {
	for _, shell := range Shells {
		script, err := Completion(sampleModel(t), shell)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "completion."+shell, script)
	}
}

func TestCompletionUnknownShell(t *testing.T) {
	_, err := Completion(sampleModel(t), "cmd.exe")
	var e *muster.Error
	if !errors.As(err, &e) || e.Code != "invalid_shell" || !errors.Is(err, muster.ErrInvalid) {
		t.Fatalf("got %v, want invalid_shell", err)
	}
}

// TestCompletionInBash asks bash itself what the script offers.
func TestCompletionInBash(t *testing.T) {
	script, err := Completion(sampleModel(t), "bash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a secret.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typed string // words as bash takes them apart; the last is being completed
		want  []string
	}{
		{"muster|", []string{"connector", "export", "sync"}},
		{"muster|sy", []string{"sync"}},
		{"muster|-", []string{"--help", "--verbose", "-h", "-v"}},
		{"muster|sync|--", []string{"--cloud", "--full", "--help", "--secret-file", "--tag", "--verbose"}},
		{"muster|sync|--cloud|", []string{"commercial", "gcc-high", "us"}},
		{"muster|sync|--cloud|g", []string{"gcc-high"}},
		{"muster|sync|--cloud|=", []string{"commercial", "gcc-high", "us"}},
		{"muster|sync|--cloud|=|c", []string{"commercial"}},
		{"muster|sync|--full|--cl", []string{"--cloud"}},
		{"muster|sync|--tag|", nil},
		{"muster|sync|--secret-file|", []string{"a secret.txt"}},
		{"muster|-v|sync|--fu", []string{"--full"}},
		{"muster|export|", []string{"devices", "findings"}},
		{"muster|export|-o|a", []string{"a secret.txt"}},
		{"muster|connector|", []string{"list", "run"}},
		{"muster|connector|run|--w", []string{"--wait"}},
		{"muster|connector|list|--w", nil},
	} {
		words := strings.Split(c.typed, "|")
		run := exec.Command("bash", "--norc", "-uc", script+`
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_muster
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"`, "bash")
		run.Args = append(run.Args, words...)
		run.Dir = dir
		out, err := run.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.typed, err, out)
		}
		var got []string
		if len(out) > 0 {
			got = strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.typed, got, c.want)
		}
	}
}
