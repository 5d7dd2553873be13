_beamline_registry() {
    local IFS=$'\013' words=() tokens=("${COMP_WORDS[@]:0:COMP_CWORD}") joined='' token
    # Bash parts words at `=` and `:`, and completes the last part; `--version=v1` is one word here.
    [[ ${COMP_WORDS[COMP_CWORD]} != [=:]* ]] || tokens+=("${COMP_WORDS[COMP_CWORD]}")
    for token in "${tokens[@]}" "$2"; do
        if [[ $joined || $token == [=:]* ]]; then
            words[${#words[@]} - 1]+=$token
        else
            words+=("$token")
        fi
        [[ $token == *[=:] ]] && joined=yes || joined=''
    done
    local index=$((${#words[@]} - 1))
    compopt +o nospace 2>/dev/null
    COMPREPLY=($(_CLAP_IFS=$IFS _CLAP_COMPLETE_INDEX=$index BEAMLINE_REGISTRY_COMPLETE=bash \
        beamline-registry -- "${words[@]}"))
    local before=${words[index]%"$2"}
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    # A value or a file's name follows.
    [[ ${COMPREPLY-} != *[=/:] ]] || compopt -o nospace 2>/dev/null
}
complete -o nospace -o bashdefault -o nosort -F _beamline_registry beamline-registry 2>/dev/null ||
    complete -o nospace -o bashdefault -F _beamline_registry beamline-registry
