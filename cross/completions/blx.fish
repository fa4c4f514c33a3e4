# Completion of blx for fish.

set -l commands verify export import backup restore compact events ctl
set -l none "not __fish_seen_subcommand_from $commands"
set -l where '__fish_seen_subcommand_from export import backup restore compact events'

complete -c blx -f
complete -c blx -n __fish_use_subcommand -a verify -d 'Check a chain'
complete -c blx -n __fish_use_subcommand -a export -d 'Write the chain as JSON'
complete -c blx -n __fish_use_subcommand -a import -d 'Take a chain of JSON'
complete -c blx -n __fish_use_subcommand -a backup -d 'Write chain and key as one file'
complete -c blx -n __fish_use_subcommand -a restore -d 'Take such a file'
complete -c blx -n __fish_use_subcommand -a compact -d 'Write the chain file anew'
complete -c blx -n __fish_use_subcommand -a events -d 'Print what the node keeps of its life'
complete -c blx -n __fish_use_subcommand -a ctl -d 'Ask the running node something'

complete -c blx -n $none -l bind -x -d 'IP address to listen on'
complete -c blx -n $none -l connect -x -a '(__fish_print_hostnames):' -d 'Peer to dial'
complete -c blx -n $none -l console -x -a 'stdio none unix: /dev/serial0' -d 'Where the menu is'
complete -c blx -n $none -l data-dir -x -a '(__fish_complete_directories)' -d 'Where the files lie'
complete -c blx -n $none -l difficulty -x -d 'Leading hex zeros of a hash'
complete -c blx -n $none -l items-max -x -d 'Items in a chain that is followed'
complete -c blx -n $none -l staging-max -x -d 'MiB of a chain that is compared'
complete -c blx -n $none -l scrub -x -a off -d 'Hours between checks, or off'
complete -c blx -n $none -l orphans -x -a 'remake drop' -d 'Transactions of disconnected blocks'
complete -c blx -n $none -l headless -d 'No menu'
complete -c blx -n $none -s V -l version -d 'Print the version'
complete -c blx -s h -l help -d 'Print the help'

complete -c blx -n '__fish_seen_subcommand_from verify export import backup restore' -F
complete -c blx -n $where -l data-dir -x -a '(__fish_complete_directories)' -d 'Data directory'
complete -c blx -n $where -l port -x -d 'Port of the default data directory'
complete -c blx -n '__fish_seen_subcommand_from export' -l branch -d 'Blocks that the last reorg disconnected'
complete -c blx -n '__fish_seen_subcommand_from verify import' -l difficulty -x -d 'Leading hex zeros'
complete -c blx -n '__fish_seen_subcommand_from ctl' -l socket -r -F -d 'Control socket'
complete -c blx -n '__fish_seen_subcommand_from ctl' -l json -d 'Answer for a program'
complete -c blx -n '__fish_seen_subcommand_from ctl' \
    -a 'request release reserved available peers connect sync status events'
