#!/bin/sh
# The program of a test's tasks. It tells the sink what it does, one line each, by the pipe $JOURNAL.in:
#
#   BEGIN|STEP|END|TERM TASK ATTEMPT PID MONOTONIC_NS
#
# Lines are written whole, so that their order is the order in which things happened.
# The payload is a JSON text of shell assignments:
#   progress=N   reports so many per cent before anything else
#   before=NAME  waits for the file $JOURNAL.NAME before it begins
#   steps=N      takes N steps of 50 ms
#   hold=NAME    takes steps until there is a file $JOURNAL.NAME
#   good=N       attempts before the N-th are to be tried again (exit status 75)
#   after=NAME   waits for the file $JOURNAL.NAME once everything is done
#   deaf=1       does not end on SIGTERM
#   exit=N       its exit status
#   die=NAME     sends itself this signal instead of ending

note() {
  # Since the machine's start, to 10 ms.
  read -r up _ </proc/uptime
  echo "$1 $UNSTUCK_TASK_ID $UNSTUCK_ATTEMPT $$ ${up%.*}${up#*.}0000000" >>"$JOURNAL.in"
}

progress='' before='' steps=0 hold='' good=1 after='' deaf='' exit=0 die=''
read -r line || [ -n "$line" ] || line=
case $line in '"'*'"')
  line=${line#?}
  eval "${line%?}"
  ;;
esac
[ -z "$progress" ] || echo "::progress $progress" >&2
trap 'note TERM; [ -n "$deaf" ] || exit 143' TERM

while [ -n "$before" ] && [ ! -e "$JOURNAL.$before" ]; do sleep 0.05; done
note BEGIN
while [ "$steps" -gt 0 ] || { [ -n "$hold" ] && [ ! -e "$JOURNAL.$hold" ]; }; do
  sleep 0.05
  note STEP
  steps=$((steps - 1))
done
if [ "$UNSTUCK_ATTEMPT" -lt "$good" ]; then
  echo "not yet good" >&2
  exit 75
fi
note END
while [ -n "$after" ] && [ ! -e "$JOURNAL.$after" ]; do sleep 0.05; done
[ -z "$die" ] || kill -s "$die" $$
[ "$exit" = 0 ] || echo "told to fail" >&2
echo "{\"attempt\": $UNSTUCK_ATTEMPT}"
exit "$exit"
