# bash completion for muster: source <(muster completion bash)
_muster() {
	local IFS=$' \t\n' at='' words='' i current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$at/${COMP_WORDS[i]}" in
			'/sync'|'/export'|'/connector'|'/connector/list'|'/connector/run') at=$at/${COMP_WORDS[i]} ;;
		esac
	done
	if [[ $current == = ]]; then
		current=''
	elif [[ $previous == = ]]; then
		previous=${COMP_WORDS[COMP_CWORD-2]}
	fi
	COMPREPLY=()
	case "$at $previous" in
		'/sync --secret-file'|'/export --output'|'/export -o')
			compopt -o filenames 2>/dev/null
			IFS=$'\n' COMPREPLY=($(compgen -f -- "$current"))
			return ;;
		'/sync --tag') return ;;
		'/sync --cloud') COMPREPLY=($(compgen -W 'commercial us gcc-high' -- "$current")); return ;;
	esac
	case "$at" in
		'')
			if [[ $current == -* ]]; then words='--help -h --verbose -v'; else words='sync export connector'; fi
			;;
		'/sync')
			if [[ $current == -* ]]; then words='--help -h --verbose -v --cloud --secret-file --tag --full'; else words=''; fi
			;;
		'/export')
			if [[ $current == -* ]]; then words='--help -h --verbose -v --output -o'; else words='devices findings'; fi
			;;
		'/connector')
			if [[ $current == -* ]]; then words='--help -h --verbose -v'; else words='list run'; fi
			;;
		'/connector/list')
			if [[ $current == -* ]]; then words='--help -h --verbose -v'; else words=''; fi
			;;
		'/connector/run')
			if [[ $current == -* ]]; then words='--help -h --verbose -v --wait'; else words=''; fi
			;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _muster muster
