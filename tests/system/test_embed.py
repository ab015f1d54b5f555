"""A stranger's program against the installed library: pkg-config, shared and static, and under the sanitizers."""
import hashlib
import re

from harness import *

EACH = 3000
RECORDS = 4 * EACH * 3


class Embed(Case):
    def build(self, *flags):
        out = self.dir / "stranger"
        subprocess.run(flags[:1] + ("-std=c11", "-Wall", "-Wextra", "-Werror", str(ROOT / "tests/system/stranger.c"), "-o", str(out)) + flags[1:] +
                       ("-pthread",), check=True)
        return out

    def check(self, program, env=None):
        base = self.receive("--limit", "metrics_head_window=0")
        run = subprocess.run([str(program), base + "/api/v1/push", base + "/loki/api/v1/push", str(EACH)], capture_output=True,
                             env=clean_env(**(env or {})), timeout=150)
        self.assertEqual(run.returncode, 0, run.stderr.decode())
        s = summary(run)
        self.assertEqual((s["failed"], s["flushed"], s["waited"], s["closed"], s["pending"]), (0, 0, 0, 0, 0))
        for key in ("receipt", "receipt_delivered", "reported", "accepted", "delivered"):
            self.assertEqual(s[key], RECORDS, key)
        samples, last = self.records("sample"), {}
        self.assertEqual(len(samples), 4 * EACH * 2)
        for r in samples:  # in order, each value once
            key = json.dumps(r["labels"])
            self.assertEqual(float(r["value"]), last.get(key, -1) + 1)
            last[key] = float(r["value"])
        self.assertEqual(len(self.records("entry")), 4 * EACH)
        self.assertEqual({r["help"] for r in self.records("metadata")}, {"How strange."})

    def install(self):
        root = self.dir / "root"
        subprocess.run(["make", "-s", "-C", str(ROOT), "install", f"DESTDIR={root}", "PREFIX=/usr"], check=True, capture_output=True)
        env = clean_env(PKG_CONFIG_PATH=f"{root}/usr/lib/pkgconfig", PKG_CONFIG_SYSROOT_DIR=str(root))
        ask = lambda *a: subprocess.run(["pkg-config", *a, "gcw"], env=env, capture_output=True, text=True, check=True).stdout.split()
        return root, ask

    def test_shared_library_through_pkg_config(self):
        root, ask = self.install()
        program = self.build("cc", *ask("--cflags"), *ask("--libs"))
        self.check(program, {"LD_LIBRARY_PATH": f"{root}/usr/lib"})
        names = subprocess.run(["nm", "-D", "--defined-only", f"{root}/usr/lib/libgcw.so"], capture_output=True, text=True, check=True).stdout
        exported = {l.split()[-1] for l in names.splitlines()}
        self.assertEqual({n for n in exported if not n.startswith("gcw_")}, set())
        self.assertIn("gcw_writer_open", exported)

    def test_the_programs_of_the_readme_do_what_they_say(self):
        root, ask = self.install()
        base = self.receive()
        programs = re.findall("```c\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        for i, text in enumerate(programs):
            self.assertIn("http://127.0.0.1:9090/api/v1/write", text)
            source = self.dir / f"readme{i}.c"
            source.write_text(text.replace("http://127.0.0.1:9090/api/v1/write", base + "/api/v1/push"))
            subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", str(source), "-o", str(source.with_suffix("")), *ask("--cflags"), *ask("--libs")],
                           check=True)
            run = subprocess.run([str(source.with_suffix(""))], env=clean_env(LD_LIBRARY_PATH=f"{root}/usr/lib"), capture_output=True, timeout=60)
            self.assertEqual(run.returncode, 0, run.stderr.decode())
        got = [(r["labels"]["__name__"], r["labels"].get("le"), float(r["value"])) for r in self.records("sample")]
        self.assertEqual(got, [("room_celsius", None, 21.5)] + [("request_seconds_bucket", le, n) for le, n in (
            ("0.1", 240), ("0.5", 294), ("2.5", 299), ("+Inf", 300))] + [("request_seconds_sum", None, 31.5), ("request_seconds_count", None, 300)])

    def test_the_header_is_c_plus_plus_as_well(self):
        source = self.dir / "plus.cc"
        source.write_text("""#include <gcw.h>
int main()
{
    const double bounds[] = {0.1, 1};
    const uint64_t counts[] = {1, 2, 3};
    const gcw_label labels[] = {GCW_LABEL("__name__", "h")};
    gcw_classic_point point = gcw_classic_point();
    point.counts = counts;
    point.bucket_count = 3;
    gcw_writer *writer = gcw_writer_open(nullptr, nullptr, nullptr);
    if (!writer)
        return 0;
    gcw_classic *h = gcw_classic_intern(writer, labels, 1, bounds, 2, nullptr, nullptr, nullptr);
    gcw_status status = gcw_classic_append(h, &point, nullptr, nullptr);
    gcw_classic_release(h);
    return gcw_writer_close(writer, 0, nullptr) == GCW_OK && status == GCW_OK ? 0 : 1;
}
""")
        libs = subprocess.run(["pkg-config", "--libs", "libcurl", "zlib", "libprotobuf-c", "libdeflate"], capture_output=True, text=True).stdout.split()
        for compiler in ("g++", "clang++"):
            with self.subTest(compiler=compiler):
                subprocess.run([need(compiler), "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT}/plugin/include", str(source),
                                "-o", str(self.dir / "plus"), str(ROOT / "build/libgcw.a"), *libs, "-lm", "-pthread"], check=True)
                self.assertEqual(subprocess.run([str(self.dir / "plus")], timeout=60).returncode, 0)

    def test_two_builds_in_different_places_are_the_same_bytes(self):
        digests = []
        for name in ("a", "a-longer-name"):
            tree = self.dir / name
            tree.mkdir()
            subprocess.run(["cp", "-r", *(str(ROOT / part) for part in ("plugin", "proto", "Makefile")), str(tree)], check=True)
            subprocess.run(["make", "-s", "-j2", "-C", str(tree), "OPT=-O0 -g", "build/libgcw.a", "build/libgcw.so"], check=True,
                           capture_output=True)
            digests.append([hashlib.sha256((tree / "build" / f).read_bytes()).hexdigest() for f in ("libgcw.a", "libgcw.so")])
        self.assertEqual(*digests)

    def sanitized(self, variant, *flags):
        library = ROOT / "build" / variant / "libgcw.a"
        if not library.exists():
            print(f"SKIPPED: no build/{variant}")
            self.skipTest(f"no build/{variant}")
        libs = subprocess.run(["pkg-config", "--libs", "libcurl", "zlib", "libprotobuf-c", "libdeflate"], capture_output=True, text=True, check=True).stdout.split()
        self.check(self.build("clang", "-g", *flags, f"-I{ROOT}/plugin/include", str(library), *libs, "-lm"))

    def test_many_threads_under_thread_sanitizer(self):
        self.sanitized("tsan", "-fsanitize=thread")

    def test_many_threads_under_address_sanitizer(self):
        self.sanitized("asan", "-fsanitize=address,undefined")


if __name__ == "__main__":
    unittest.main()
