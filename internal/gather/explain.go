package gather

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"muster"
	"muster/internal/defender"
)

// meaning is how an error of the source is told: see the contracts for the codes.
type meaning struct {
	meaning error
	code    string
	message string
	advice  string
	detail  bool // the source's own words help
}

var meanings = map[defender.Kind]meaning{
	defender.WrongSecret: {
		muster.ErrUnauthenticated, "wrong_secret", "Microsoft does not accept the client secret",
		"Copy the secret's Value (not its ID) from Certificates & secrets of the app in the Entra portal.", false,
	},
	defender.ExpiredSecret: {
		muster.ErrUnauthenticated, "expired_secret", "the client secret has expired",
		"Make a new secret under Certificates & secrets of the app in the Entra portal and give Muster its Value.", false,
	},
	defender.UnknownTenant: {
		muster.ErrNotFound, "unknown_tenant", "Microsoft knows no such tenant in this cloud",
		"Copy the Directory (tenant) ID from the app's overview page, and check --cloud.", false,
	},
	defender.UnknownClient: {
		muster.ErrNotFound, "unknown_client", "the tenant has no app with this client ID",
		"Copy the Application (client) ID from the app's overview page; it must belong to this tenant.", false,
	},
	defender.NoConsent: {
		muster.ErrForbidden, "no_consent", "the app has no consented permissions",
		"Grant admin consent for Machine.Read.All and Vulnerability.Read.All of WindowsDefenderATP.", false,
	},
	defender.MissingRole: {
		muster.ErrForbidden, "missing_role", "the app lacks a permission",
		"Add the application permission to the app and grant admin consent.", true,
	},
	defender.NoLicence: {
		muster.ErrForbidden, "no_licence", "the tenant has no licence for this data",
		"Check that the tenant has an active Defender for Endpoint plan with vulnerability management.", true,
	},
	defender.FeatureDisabled: {
		muster.ErrForbidden, "feature_disabled", "the tenant has this feature switched off",
		"Switch it on in the Defender portal, or take the dataset out with --datasets.", true,
	},
	defender.Unauthorized: {
		muster.ErrUnauthenticated, "bad_answer", "the API refused a fresh token",
		"Check --cloud and --scope: the token may be for another API.", true,
	},
	defender.BadScope: {
		muster.ErrInvalid, "invalid_scope", "Microsoft does not know the scope",
		"Leave --scope out, or check it.", true,
	},
	defender.Throttled: {
		muster.ErrThrottled, "throttled", "Microsoft kept refusing calls for their number",
		"Run it again later; other programs may be using the same app.", false,
	},
	defender.Unreachable: {
		muster.ErrUnavailable, "unreachable", "the host cannot be reached",
		"Check name resolution, the network and HTTPS_PROXY.", true,
	},
	defender.UntrustedCertificate: {
		muster.ErrUnavailable, "untrusted_certificate", "the host's certificate is not trusted",
		"If a proxy inspects TLS, give its CA with --ca-file.", true,
	},
	defender.Proxy: {
		muster.ErrUnavailable, "proxy", "a proxy answered instead of Microsoft",
		"Check HTTPS_PROXY and NO_PROXY, and that the proxy lets this machine out.", true,
	},
	defender.RefusedLink: {
		muster.ErrUnavailable, "refused_link", "the answer pointed to a host that is not Microsoft's; the link was not followed",
		"Check that nothing stands between Muster and Microsoft.", true,
	},
	defender.NotFound: {
		muster.ErrNotFound, "bad_answer", "the API has no such resource",
		"Check --api-url and --cloud.", true,
	},
	defender.BadRequest: {
		muster.ErrInvalid, "bad_answer", "the API refused the request",
		"Report it with the log.", true,
	},
	defender.ServerFault: {
		muster.ErrUnavailable, "bad_answer", "the API kept failing",
		"Run it again later.", true,
	},
	defender.BadAnswer: {
		muster.ErrUnavailable, "bad_answer", "the answer could not be understood",
		"Run it again; if it stays, report it with the log.", true,
	},
}

// unknownCertificate is what Entra says of a certificate that the app does not have
// (learn.microsoft.com/entra/identity-platform/reference-error-codes).
const unknownCertificate = 700027

// explain gives an error of the source its code, sentence and advice.
func explain(err error) *muster.Error {
	if known, ok := errors.AsType[*muster.Error](err); ok {
		return known
	}
	var e *defender.Error
	switch {
	case errors.As(err, &e):
		return explained(e, err)
	case errors.Is(err, defender.ErrEmptyFile):
		return badAnswer("a file of the export stayed empty", err)
	case errors.Is(err, defender.ErrExpiredLink):
		return badAnswer("the export's links expired while they were read", err)
	case errors.Is(err, context.Canceled):
		return &muster.Error{Code: "cancelled", Message: "the reading was cancelled", Advice: "Run it again when it suits.", Err: err}
	}
	return muster.AsError(err)
}

func badAnswer(message string, err error) *muster.Error {
	return &muster.Error{Meaning: muster.ErrUnavailable, Code: "bad_answer", Message: message, Advice: "Run it again later.", Err: err}
}

func explained(e *defender.Error, cause error) *muster.Error {
	m, ok := meanings[e.Kind]
	if !ok {
		return muster.AsError(cause)
	}
	if e.AADSTS == unknownCertificate {
		m.message, m.advice = "Microsoft does not know the app's certificate", "Upload its public part under Certificates & secrets of the app in the Entra portal."
	}
	message := m.message
	if len(e.Required) > 0 {
		message = fmt.Sprintf("the app lacks a permission: one of %s is needed, it has %s", strings.Join(e.Required, ", "), strings.Join(e.Present, ", "))
	} else if m.detail && e.Message != "" {
		message += ": " + firstLine(e.Message)
	}
	return &muster.Error{Meaning: m.meaning, Code: m.code, Message: message, Advice: m.advice, Err: cause}
}

// firstLine keeps one line of bounded length of somebody else's words.
func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = strings.TrimRight(text, "\r. ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}

func noConsent() *muster.Error {
	m := meanings[defender.NoConsent]
	return &muster.Error{Meaning: m.meaning, Code: m.code, Message: m.message, Advice: m.advice}
}
