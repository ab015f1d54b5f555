"""A real Loki ($LOKI, or in PATH) on a free port."""
from harness import *


def start_loki(case, limits="", more="", auth="false"):
    """Returns its base URL once it is ready; `limits` is more of limits_config, with a comma before it; `more` more of the file."""
    binary, port = need("loki"), free_port()
    (case.dir / "loki.yaml").write_text(f"""
auth_enabled: {auth}
analytics: {{reporting_enabled: false}}
server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {free_port()}}}
common:
  instance_addr: 127.0.0.1
  path_prefix: {case.dir}/loki
  storage: {{filesystem: {{chunks_directory: {case.dir}/loki/chunks, rules_directory: {case.dir}/loki/rules}}}}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
storage_config: {{object_store: {{filesystem: {{dir: {case.dir}/loki/objects}}}}}}
schema_config: {{configs: [{{from: 2020-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {{prefix: i_, period: 24h}}}}]}}
limits_config: {{max_entries_limit_per_query: 0, max_query_length: 0{limits}}}
ingester: {{lifecycler: {{min_ready_duration: 0s, final_sleep: 0s}}}}
frontend_worker: {{dns_lookup_duration: 300ms}}
frontend: {{scheduler_dns_lookup_period: 300ms}}
{more}
""")
    case.start(binary, f"-config.file={case.dir}/loki.yaml")
    base = f"http://127.0.0.1:{port}"
    wait_for("loki", lambda: "ready" in get(base + "/ready"), 120)
    return base
