"""What host modules show to and take from the process they are loaded into, as the dynamic linker sees it."""
import re
import subprocess

from harness import *

MODULE = ROOT / "build" / "out_grafana_cloud.so"

ENTRIES = {"FLBPluginPreRegister", "FLBPluginRegister", "FLBPluginInit", "FLBPluginFlushCtx", "FLBPluginOutputPreRun",
           "FLBPluginOutputPreExit", "FLBPluginExitCtx", "FLBPluginUnregister"}

# Of libcurl, and of no host.
CURL = re.compile(r"curl_(easy|multi|global|url|slist)_\w+|curl_url|curl_free")
# Weak, and there for tools that are not.
TOOLS = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__"}


def dynamic(*flags):
    out = subprocess.run(["nm", "-D", *flags, str(MODULE)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in out.splitlines()}


class Modules(Case):
    def test_only_the_entry_points_are_shown(self):
        self.assertEqual(dynamic("--defined-only"), ENTRIES)

    def test_nothing_is_taken_but_from_libcurl_and_libc(self):
        """Every other name could be bound to something of the same name in the host."""
        taken = dynamic("--undefined-only")
        versioned = {n.split("@")[0] for n in taken if "@" in n and re.search(r"@(GLIBC_|CURL_OPENSSL_|CURL_GNUTLS_)", n)}
        plain = {n.split("@")[0] for n in taken}
        self.assertEqual(plain - versioned - TOOLS, set())
        self.assertEqual({n for n in plain if n.startswith("curl_") and not CURL.fullmatch(n)}, set())
        self.assertIn("curl_multi_perform", plain)
        # asked of the allocator that made the host's structs
        self.assertIn("malloc_usable_size", plain)

    def test_only_libcurl_and_libc_are_needed(self):
        out = subprocess.run(["readelf", "-dW", str(MODULE)], capture_output=True, text=True, check=True).stdout
        needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\]", out))
        self.assertEqual({n for n in needed if not re.match(r"(libcurl|libc|libm|libpthread|libdl)(-gnutls)?\.so\.\d|ld-linux", n)}, set())

    def test_it_is_bound_before_it_runs_and_never_unmapped(self):
        out = subprocess.run(["readelf", "-dW", str(MODULE)], capture_output=True, text=True, check=True).stdout
        self.assertRegex(out, r"FLAGS_1\).*NOW.*NODELETE|FLAGS_1\).*NODELETE.*NOW")
        self.assertRegex(out, r"\(FLAGS\).*SYMBOLIC")
        self.assertNotIn("TEXTREL", out)
        headers = subprocess.run(["readelf", "-lW", str(MODULE)], capture_output=True, text=True, check=True).stdout
        self.assertIn("GNU_RELRO", headers)
        self.assertRegex(headers, r"GNU_STACK\s+(\S+\s+){5}RW\s")


if __name__ == "__main__":
    unittest.main()
