#!/usr/bin/env bash
# Plays the demo with processes instead of containers, and checks that every job was done.
#
#   AMQP_URL   the RabbitMQ to play on (amqp://localhost unless set)
#   LISTEN     where the service serves (127.0.0.1:8080 unless set)
set -euo pipefail
cd "$(dirname "$0")/../.."

export AMQP_URL="${AMQP_URL:-amqp://localhost}" LISTEN="${LISTEN:-127.0.0.1:8080}" NO_COLOR=1
# Low enough that no mail fails eight times in a row.
export FAILING="${FAILING:-0.1}"
readonly PATIENCE=60
logs="$(mktemp -d)"
api="" worker=""

end() {
    # Nothing outlives the script; these processes are its own.
    kill -KILL $api $worker 2>/dev/null || true
    rm -rf "$logs"
}
trap end EXIT

fail() {
    echo "FAILED: $*" >&2
    tail -n 20 "$logs"/* >&2 || true
    exit 1
}

# until_true WHAT COMMAND…
until_true() {
    local what="$1" deadline=$((SECONDS + PATIENCE))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "waited $PATIENCE s until $what"
        sleep 0.2
    done
    echo "ok: $what"
}

post() {
    curl --silent --show-error --fail --output /dev/null --header 'content-type: application/json' --data "$2" "http://$LISTEN$1"
}

api_is_ready() { curl --silent --fail --output /dev/null "http://$LISTEN/ready"; }
consuming() { grep -q 'demo_worker: consuming' "$1"; }
# Different addresses, reports and dead letters that the workers have logged so far.
mails() { [ "$(cat "$logs"/worker* | grep -o 'welcome address="[^"]*"' | sort -u | wc -l)" -eq "$1" ]; }
reports() { [ "$(cat "$logs"/worker* | grep -o 'report year=[0-9]* month=[0-9]*' | sort -u | wc -l)" -eq "$1" ]; }
dead_letter() { cat "$logs"/worker* | grep -q 'there is no month 13'; }

start_worker() {
    "$bin/demo-worker" >"$logs/worker$1" 2>&1 &
    worker=$!
    until_true "worker $1 consumes" consuming "$logs/worker$1"
}

cargo build --quiet --package leveret-demo
bin="${CARGO_TARGET_DIR:-target}/debug"

echo "-- start"
"$bin/demo-api" >"$logs/api" 2>&1 &
api=$!
until_true "the service has its connection" api_is_ready
start_worker 1

echo "-- 20 mails, some of which fail at first; 3 reports; one report of a month that does not exist"
for user in $(seq 20); do post /welcome "{\"address\":\"user-$user@example.org\"}"; done
for month in 1 2 3; do post /reports "{\"year\":2026,\"month\":$month}"; done
post /reports '{"year":2026,"month":13}'
until_true "20 mails were sent" mails 20
until_true "3 reports were written" reports 3
until_true "the impossible report is a dead letter" dead_letter

echo "-- 20 more mails, and the worker is killed in the middle"
for user in $(seq 21 40); do post /welcome "{\"address\":\"user-$user@example.org\"}"; done
kill -KILL "$worker"
wait "$worker" 2>/dev/null || true
start_worker 2
until_true "all 40 mails were sent" mails 40

echo "-- end"
kill -TERM "$api" "$worker"
wait "$api" || fail "the service did not end in order"
wait "$worker" || fail "the worker did not end in order"
grep -o 'demo-mail: .*' "$logs/worker2"
echo "the demo works"
