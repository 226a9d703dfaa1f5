#!/bin/sh
# Makes or updates Temporal's two databases. Safe to run again: `setup-schema` would reset the version of a schema that is
# there, so it runs only when the version table is missing.
set -eu
: "${POSTGRES_HOST:?}" "${POSTGRES_USER:?}" "${SQL_PASSWORD:?}"

sql_tool() {
  temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_HOST" -p 5432 -u "$POSTGRES_USER" "$@"
}

prepare() {
  database=$1
  versions=/etc/temporal/schema/postgresql/v12/$2/versioned
  sql_tool --db "$database" create
  if output=$(sql_tool --db "$database" update-schema -d "$versions" 2>&1); then
    echo "$database: schema is current"
    return
  fi
  case $output in
    *schema_version*'does not exist'*) ;;
    *)
      echo "$database: the schema could not be updated" >&2
      echo "$output" >&2
      exit 1
      ;;
  esac
  sql_tool --db "$database" setup-schema -v 0.0
  sql_tool --db "$database" update-schema -d "$versions"
  echo "$database: schema made"
}

prepare temporal temporal
prepare temporal_visibility visibility
