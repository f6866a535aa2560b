package defender

import (
	"fmt"
	"slices"
	"strings"
)

// cloud is one of Microsoft's clouds or regions: its addresses, and the hosts
// that may be given its tokens.
type cloud struct {
	name  string
	login string // origin of the sign-in
	api   string // origin of the API
	scope string
	hosts []string // suffixes of the API hosts that a next link may name
}

const (
	globalLogin = "https://login.microsoftonline.com"
	// The documented audience for every commercial API host
	// (api/exposed-apis-create-app-webapp.md): some endpoints refuse the newer one.
	globalScope = "https://api.securitycenter.microsoft.com/.default"
)

var (
	globalHosts     = []string{".securitycenter.microsoft.com", ".security.microsoft.com"}
	governmentHosts = []string{".securitycenter.microsoft.us"}
)

// clouds holds what Config.Cloud may name (api/exposed-apis-list.md, defender-endpoint/gov.md).
var clouds = []cloud{
	{"commercial", globalLogin, "https://api.security.microsoft.com", globalScope, globalHosts},
	{"us", globalLogin, "https://us.api.security.microsoft.com", globalScope, globalHosts},
	{"eu", globalLogin, "https://eu.api.security.microsoft.com", globalScope, globalHosts},
	{"uk", globalLogin, "https://uk.api.security.microsoft.com", globalScope, globalHosts},
	{"au", globalLogin, "https://au.api.security.microsoft.com", globalScope, globalHosts},
	government("gcc", globalLogin, "https://api-gcc.securitycenter.microsoft.us"),
	government("gcc-high", "https://login.microsoftonline.us", "https://api-gov.securitycenter.microsoft.us"),
	government("dod", "https://login.microsoftonline.us", "https://api-gov.securitycenter.microsoft.us"),
}

func government(name, login, api string) cloud {
	return cloud{name, login, api, api + "/.default", governmentHosts}
}

// findCloud returns the named cloud; "" is the commercial one.
func findCloud(name string) (cloud, error) {
	if name == "" {
		return clouds[0], nil
	}
	names := make([]string, len(clouds))
	for i, c := range clouds {
		names[i] = c.name
	}
	if i := slices.Index(names, name); i >= 0 {
		return clouds[i], nil
	}
	return cloud{}, fmt.Errorf("cloud %q is not one of %s", name, strings.Join(names, ", "))
}
