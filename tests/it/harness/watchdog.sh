# Runs a program, and ends it when standard input closes: that is, when whoever started it is gone,
# however that happened. The exit code is the program's (128 + n for signal n).
#
# usage: sh -c "$(cat watchdog.sh)" watchdog SIGNAL FOLDER PROGRAM [ARG...]
#
# FOLDER, unless empty, is removed after an end that way; it survives when the program ends by itself.
signal=$1
folder=$2
shift 2

exec 3<&0
sh -c 'echo "watchdog: pid $$"; exec "$@"' sh "$@" </dev/null 3<&- &
program=$!

{
    cat <&3
    [ -z "$folder" ] || : >"$folder/orphaned"
    kill -s "$signal" "$program"
} >/dev/null 2>&1 &
guard=$!
# Some shells report a killed child, and would die of it when nobody reads any more.
exec 3<&- >/dev/null 2>&1

# Ctrl-C reaches the whole process group; this shell has to outlive the program.
trap : INT TERM
while :; do
    wait "$program"
    code=$?
    kill -0 "$program" || break
done
if [ -n "$folder" ]; then
    # The owner's death may have ended the program (SIGPIPE) before the guard has noticed it.
    [ -e "$folder/orphaned" ] || sleep 0.1
    [ ! -e "$folder/orphaned" ] || rm -rf "$folder"
fi
kill "$guard"
exit "$code"
