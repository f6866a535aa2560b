# fish completion for muster: muster completion fish | source
function __muster_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        switch "$at/$word"
            case '/sync' '/export' '/connector' '/connector/list' '/connector/run'
                set at "$at/$word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c muster -f
complete -c muster -n '__muster_at \'\'' -a 'sync' -d 'Gather one tenant\'s data.'
complete -c muster -n '__muster_at \'\'' -a 'export' -d 'Write data.'
complete -c muster -n '__muster_at \'\'' -a 'connector' -d 'Connectors.'
complete -c muster -n '__muster_at \'\'' -l help -s h -d 'Show context-sensitive help.'
complete -c muster -n '__muster_at \'\'' -l verbose -s v -d 'Say more.'
complete -c muster -n '__muster_at \'/sync\'' -l help -s h -d 'Show context-sensitive help.'
complete -c muster -n '__muster_at \'/sync\'' -l verbose -s v -d 'Say more.'
complete -c muster -n '__muster_at \'/sync\'' -l cloud -x -a 'commercial us gcc-high' -d 'The tenant\'s cloud.'
complete -c muster -n '__muster_at \'/sync\'' -l secret-file -r -F -d 'File with the app\'s secret.'
complete -c muster -n '__muster_at \'/sync\'' -l tag -x -d 'A device tag.'
complete -c muster -n '__muster_at \'/sync\'' -l full -d 'Read everything again.'
complete -c muster -n '__muster_at \'/export\'' -a 'devices' -d 'What to write.'
complete -c muster -n '__muster_at \'/export\'' -a 'findings' -d 'What to write.'
complete -c muster -n '__muster_at \'/export\'' -l help -s h -d 'Show context-sensitive help.'
complete -c muster -n '__muster_at \'/export\'' -l verbose -s v -d 'Say more.'
complete -c muster -n '__muster_at \'/export\'' -l output -s o -r -F -d 'Where to write.'
complete -c muster -n '__muster_at \'/connector\'' -a 'list' -d 'List them.'
complete -c muster -n '__muster_at \'/connector\'' -a 'run' -d 'Run one.'
complete -c muster -n '__muster_at \'/connector\'' -l help -s h -d 'Show context-sensitive help.'
complete -c muster -n '__muster_at \'/connector\'' -l verbose -s v -d 'Say more.'
complete -c muster -n '__muster_at \'/connector/list\'' -l help -s h -d 'Show context-sensitive help.'
complete -c muster -n '__muster_at \'/connector/list\'' -l verbose -s v -d 'Say more.'
complete -c muster -n '__muster_at \'/connector/run\'' -l help -s h -d 'Show context-sensitive help.'
complete -c muster -n '__muster_at \'/connector/run\'' -l verbose -s v -d 'Say more.'
complete -c muster -n '__muster_at \'/connector/run\'' -l wait -d 'Wait for the end.'
