"""`gcw receive` refuses what the real receivers refuse: the same bodies, good and hostile, go to both."""
import http.client
import time

import bodies
from harness import *
from loki import start_loki


def post(base, path, body, content_type, headers):
    """Status and text; 0 if the receiver broke off (Prometheus does when a reference leads nowhere)."""
    c = http.client.HTTPConnection(base.removeprefix("http://"), timeout=60)
    try:
        c.request("POST", path, body, {"Content-Type": content_type, **headers})
        r = c.getresponse()
        return r.status, r.read().decode("utf-8", "replace")
    except (http.client.HTTPException, OSError) as e:
        return 0, repr(e)
    finally:
        c.close()


class Judges(Case):
    def compare(self, path, cases, real, *limits, exact=False):
        judge, laxer, good = self.receive(*limits), [], 0
        for name, *request in cases:
            theirs, ours = post(real, path, *request), post(judge, path, *request)
            taken = 200 <= theirs[0] < 300
            good += taken
            if not taken and (ours[0] < 300 or (exact and ours[0] != theirs[0])):
                laxer.append((name, theirs, ours))
            if name.startswith("fine"):
                self.assertTrue(taken and ours[0] < 300, (name, theirs, ours))
        self.assertEqual(laxer, [])
        self.assertGreater(good, 0)

    def test_what_loki_refuses_is_refused_with_the_same_status(self):
        real = start_loki(self)
        now = time.time_ns()
        self.compare("/loki/api/v1/push", bodies.loki_json(now) + bodies.loki_proto(now), real, exact=True)

    # Times that Mimir takes by another rule are left out: what is far ahead makes an old Prometheus refuse all that follows.
    def rules(self, two):
        return [c for c in bodies.remote_write(int(time.time() * 1000), two) if c[0] != "a year ahead"]

    def test_what_prometheus_3_refuses_is_refused_in_both_protocols(self):
        real = self.prometheus(need("prometheus3"), "--web.remote-write-receiver.accepted-protobuf-messages=prometheus.WriteRequest",
                               "--web.remote-write-receiver.accepted-protobuf-messages=io.prometheus.write.v2.Request")
        for two in (False, True):
            self.compare("/api/v1/write", self.rules(two), real)

    def test_what_an_older_prometheus_refuses_is_refused(self):
        self.compare("/api/v1/write", self.rules(False), self.prometheus(need("prometheus")))


if __name__ == "__main__":
    unittest.main()
