"""Log lines and names of many shapes, the same for the same seed: what a receiver may read in its own way."""
import json
import random

KEYS = ("level LEVEL Level log.level severity SEVERITY Severity SeverityText lvl LVL Lvl severity_text Severity_Text SEVERITY_TEXT "
        "LeVeL le\\u0076el msg a ts level2").split() + ["", "\u017feverity", "s\\everity"]
WORDS = ("info INFO Info inf information warn WARNING wrn error err ERR debug dbg trace trc TRACE fatal critical odd 1 3.5 true null "
         "in\\u0066o notice [error] error: a:error error-free errors err! fatal, info= |warn| \u0130nfo").split() + ["", '\\"info', "warn ", "x error"]
BETWEEN = list(" \t\n\r\v,;:=\"'[](){}|!-\\/") + ["  ", "\x01", "\u00a0", "\u0085", "\u2003", "é"]


class Shapes:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def many(self, make, most):
        return [make() for _ in range(self.r.randrange(most))]

    def value(self, depth):
        kind = self.r.random()
        if kind < .5 or depth > 3:
            return f'"{self.r.choice(WORDS)}"'
        if kind < .6:
            return self.r.choice(["1", "-2e5", "true", "false", "null", "nul", "1x", ""])
        return "[" + ",".join(self.many(lambda: self.value(depth + 1), 3)) + "]" if kind < .7 else self.object(depth + 1)

    def object(self, depth=0):
        blank = lambda: self.r.choice(["", "", " ", "\t"])
        return "{" + ",".join(self.many(lambda: f'{blank()}"{self.r.choice(KEYS)}"{blank()}:{blank()}{self.value(depth)}{blank()}', 4)) + "}"

    def logfmt(self):
        return self.r.choice([" ", "\t", "  "]).join(self.many(lambda: self.r.choice(KEYS) + self.r.choice(["={}", '="{}"', "", "=={}"])
                                                               .format(self.r.choice(WORDS)), 5))

    def sentence(self):
        return "".join(self.many(lambda: self.r.choice(WORDS) + self.r.choice(BETWEEN), 6))

    def line(self):
        text = list(self.r.choice([self.object, self.logfmt, self.sentence])())
        while text and self.r.random() < .3:
            at = self.r.randrange(len(text))
            text[at:at + self.r.randrange(2)] = self.r.choice(BETWEEN)
        return "".join(text)

    def name(self):
        pieces = ["a", "b", "_", "__", "-", ".", "é", "1", "A", "\ufffd", "🙂", " ", "\u0663", "=", "\\", '"', "x_y", "__a__"]
        return "".join(self.r.choice(pieces) for _ in range(self.r.randrange(1, 5)))


def service_labels(r):
    """Some of the labels a service or a level may be named by."""
    names = ["service", "app", "application", "app_name", "name", "app_kubernetes_io_name", "container", "container_name", "k8s_container_name",
             "component", "workload", "job", "k8s_job_name", "service_name", "host"]
    return {n: r.choice(["x", "y"]) for n in r.sample(names, r.randrange(4))} | {n: r.choice(WORDS) for n in r.sample(KEYS[:14], r.random() < .2)}


__all__ = ["Shapes", "service_labels"]
