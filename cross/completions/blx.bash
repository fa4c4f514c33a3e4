# Completion of blx for bash.

_blx() {
    local commands='verify export import backup restore compact events ctl'
    local asked='request release reserved available peers connect sync status events'
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' words=''
    # A sub-command is the first word or none.
    if ((COMP_CWORD > 1)) && [[ " $commands " == *" ${COMP_WORDS[1]} "* ]]; then
        command=${COMP_WORDS[1]}
    fi
    COMPREPLY=()
    case $previous in
    --data-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") && return ;;
    --socket) mapfile -t COMPREPLY < <(compgen -f -- "$current") && return ;;
    --console) words='stdio none unix: /dev/serial0' ;;
    --scrub) words='off' ;;
    --orphans) words='remake drop' ;;
    --bind | --connect | --difficulty | --port) return ;;
    *)
        case $command in
        '')
            words='--bind --connect --console --data-dir --difficulty --scrub --orphans --items-max --staging-max
                --headless'
            words+=' -h --help -V --version'
            ((COMP_CWORD > 1)) || words+=" $commands"
            ;;
        verify) words='--difficulty -h --help' ;;
        export) words='--branch --data-dir --port -h --help' ;;
        import) words='--difficulty --data-dir --port -h --help' ;;
        backup | restore | compact | events) words='--data-dir --port -h --help' ;;
        ctl) words="--socket --json -h --help $asked" ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    case $command in
    verify | export | import | backup | restore)
        [[ $current == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    esac
}

complete -o filenames -F _blx blx
