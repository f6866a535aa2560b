#compdef muster
# zsh completion for muster: source <(muster completion zsh), or save it as _muster in a folder of $fpath
_muster() {
	local at='' previous=${words[CURRENT-1]} i
	local -a choices options
	for ((i = 2; i < CURRENT; i++)); do
		case "$at/${words[i]}" in
			('/sync'|'/export'|'/connector'|'/connector/list'|'/connector/run') at=$at/${words[i]} ;;
		esac
	done
	if [[ ${words[CURRENT]} == --*=* ]]; then
		previous=${words[CURRENT]%%=*}
		compset -P '*='
	fi
	case "$at $previous" in
		('/sync --secret-file'|'/export --output'|'/export -o') _files; return ;;
		('/sync --tag') return ;;
		('/sync --cloud') compadd -- commercial us gcc-high; return ;;
	esac
	case "$at" in
		('')
			choices=('sync:Gather one tenant'\''s data.' 'export:Write data.' 'connector:Connectors.')
			options=('--help:Show context-sensitive help.' '--verbose:Say more.')
			;;
		('/sync')
			choices=()
			options=('--help:Show context-sensitive help.' '--verbose:Say more.' '--cloud:The tenant'\''s cloud.' '--secret-file:File with the app'\''s secret.' '--tag:A device tag.' '--full:Read everything again.')
			;;
		('/export')
			choices=('devices:What to write.' 'findings:What to write.')
			options=('--help:Show context-sensitive help.' '--verbose:Say more.' '--output:Where to write.')
			;;
		('/connector')
			choices=('list:List them.' 'run:Run one.')
			options=('--help:Show context-sensitive help.' '--verbose:Say more.')
			;;
		('/connector/list')
			choices=()
			options=('--help:Show context-sensitive help.' '--verbose:Say more.')
			;;
		('/connector/run')
			choices=()
			options=('--help:Show context-sensitive help.' '--verbose:Say more.' '--wait:Wait for the end.')
			;;
	esac
	if [[ ${words[CURRENT]} == -* ]]; then
		_describe -o option options
	else
		_describe choice choices
	fi
}
if [[ ${funcstack[1]} == _muster ]]; then _muster "$@"; else compdef _muster muster; fi
