"""Limits as Mimir words them, said by a stand-in: what is refused holds nothing else up, and is counted, not lost."""
from harness import *
from remote import Sink, read

SERIES_LIMIT = (b"the request has been rejected because the tenant exceeded the active series limit, set to 15000. 30 series were rejected from "
                b"this request of a total of 100 (err-mimir-max-active-series). To adjust the related per-tenant limit, configure it")
BROKER_LIMIT = (b"send data to partitions: failed pushing to partition 0: the write request contains a timeseries or metadata item which is larger "
                b"that the maximum allowed size of 15983616 bytes (err-mimir-distributor-max-write-request-data-item-size)")


class Limits(Case):
    def push(self, protocol, first):
        """100 samples for a receiver that answers the first request with status and body."""
        sink = Sink(lambda n: (*first, (), 0) if n == 1 else (204, b"", (), 0))
        self.addCleanup(sink.stop)
        run = self.gcw("push", "metrics", "--url", sink.url, "--set", f"metrics_protocol={protocol}", "--set", "retry_min=10ms", "--summary", "json",
                       stdin=b"".join(b'limited{n="%d"} %d\n' % (n, n) for n in range(100)))
        return run, summary(run), sink.requests

    def test_series_limit_leaves_out_new_series_and_holds_up_no_other(self):
        for protocol in ("1.0", "2.0"):
            with self.subTest(protocol):
                run, s, requests = self.push(protocol, (429, SERIES_LIMIT))
                self.assertEqual((run.returncode, s["delivered"], s["rejected"], len(requests)), (1, 70, 30, 1), run.stderr)
                self.assertIn(b"too many active series", run.stderr)

    def test_what_is_too_much_for_the_broker_goes_in_smaller_requests(self):
        for protocol in ("1.0", "2.0"):
            with self.subTest(protocol):
                run, s, requests = self.push(protocol, (400, BROKER_LIMIT))
                self.assertEqual((run.returncode, s["delivered"], s["rejected"]), (0, 100, 0), run.stderr)
                taken = [dict(one.labels)["n"] for r in requests if r.status < 300 for one in read(r)[0]]
                self.assertEqual(taken, [str(n) for n in range(100)])
                self.assertGreater(len(requests), 2)

    def test_request_taken_for_cancelled_goes_again(self):
        for protocol in ("1.0", "2.0"):
            with self.subTest(protocol):
                run, s, requests = self.push(protocol, (499, b"context canceled"))
                self.assertEqual((run.returncode, s["delivered"], [r.status for r in requests]), (0, 100, [499, 204]), run.stderr)
                self.assertEqual(requests[0].body, requests[1].body)


if __name__ == "__main__":
    unittest.main()
