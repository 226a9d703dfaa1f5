#!/bin/sh
# Gives the namespace its retention and Tower's search attributes (src/temporal/search-attributes.ts). Safe to run again.
set -eu
: "${TEMPORAL_ADDRESS:?}" "${TEMPORAL_NAMESPACE:=default}" "${TOWER_RETENTION:=90d}"
export TEMPORAL_NAMESPACE

attempt() {
  tries=60
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 2
  done
}

attempt temporal operator cluster health

if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$TOWER_RETENTION"
else
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TOWER_RETENTION"
fi

registered() {
  # A server learns of a new namespace after some seconds.
  attempt temporal operator search-attribute list
}

known=$(registered)
register() {
  if echo "$known" | grep -qw "$1"; then return; fi
  temporal operator search-attribute create --name "$1" --type "$2"
}

register TowerStage Keyword
register TowerLoop Keyword
register TowerVersion Keyword
register TowerHost Keyword
register TowerSimulated Bool
register TowerLoss Double
