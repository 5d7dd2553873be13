#compdef beamline-registry
_beamline_registry() {
    local -a offered begun whole
    local found=1
    offered=("${(@f)$(_CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((CURRENT - 1)) \
        BEAMLINE_REGISTRY_COMPLETE=zsh beamline-registry -- "${words[@]}" 2>/dev/null)}")
    # After these a value or a file's name follows, without a space.
    begun=(${(M)offered:#*[=/]})
    whole=(${offered:#*[=/]})
    (($#begun)) && _describe -V values begun -S '' && found=0
    (($#whole)) && _describe -V values whole && found=0
    return found
}
compdef _beamline_registry beamline-registry
