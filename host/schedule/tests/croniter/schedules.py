"""The schedules that are tried: some picked by hand, most of them made up from a fixed seed."""

import random

PICKED = """
* * * * *
*/5 * * * *
0 * * * *
30 * * * *
0 9 * * 1-5
0 9 * * mon-fri
0 0 * * *
0 1 * * *
0 2 * * *
30 2 * * *
59 2 * * *
0 3 * * *
30 1 * * *
15 1,2,3 * * *
30 1-3 * * *
*/20 2 * * *
*/7 1-3 * * *
* 2 * * *
0 */2 * * *
30 */2 * * *
30 1-23/2 * * *
0 */1 * * *
30 0-23 * * *
45 23 * * *
30 23 * * *
0,30 0 * * *
15 0 * * *
0 0 1 * *
0 0 31 * *
0 0 30 * *
0 0 29 * *
0 0 29 2 *
0 12 29 feb *
0 0 29,30 2 *
0 0 30 2 *
0 0 31 2,4,6,9,11 *
0 0 31 4,5 *
0 0 l * *
0 0 L * *
0 0 L 2 *
0 0 15,L * *
0 0 1-L/10 * *
0 0 1-30,L * *
0 0 L * 1
0 0 28-31 * *
0 0 1-7 * 1
0 0 1 * 1
0 0 13 * 5
0 0 */2 * 1
0 0 */2 * *
0 0 * * */2
0 0 */2 * */2
0 0 */2 * 0-6
0 0 1-31 * 1
0 0 1-31 * */2
0 0 1-31 * *
0 0 1 * */1
0 0 1 * 0-6
0 0 *,1 * 1
0 0 *,1 * *
0 0 1 * *,2
0 0 ? * 1
0 0 1 * ?
0 0 ? * ?
0 0 ? * *
0 0 ? * 0-6
0 0 1-31 * ?
0 0 * * 0
0 0 * * 7
0 0 * * 0,7
0 0 * * sun
0 0 * * 6-7
0 0 * * 5-1
0 0 * * fri-mon
0 0 * * sat-sun
0 0 * * 0-7
0 0 * * 7-7
0 0 * * 1-1
0 0 * * sun-sun
0 0 * * 7-2
0 0 * * 7/2
0 0 * * 6/2
0 0 * * mon/2
0 0 * * 6-3/2
0 0 * * 5-2/2
0 0 * * 1-7/3
0 0 * * 1#1
0 0 * * 1#5
0 0 * * fri#3
0 0 * * 5#3,l5
0 0 * * L5
0 0 * * l7
0 0 * * sat#1,sun#2
0 0 * * mon-fri#1
0 0 * * sat-mon#1
0 0 * * sun-sun#1
0 0 * 2 1#5
0 0 * 2 mon#5
0 0 1 * 1#2
0 0 1-7 1 mon-fri#1
0 0 */2 * 1#2
0 0 1-7 * *,1#2
0 0 * * 0,1,2,3,4,5,6#1
0 0 15W * *
0 0 W15 * *
0 0 1W * *
0 0 31W * *
0 0 30w 2 *
0 0 15W * 1
0 0 15W * 1#3
0 0 1 1 *
0 0 25 12 *
30 2 25 10 *
30 2 31 10 *
30 1 1 11 *
30 2 * 10 0
30 2 * 10 L0
30 2 * 3 L0
30 2 * 3,10 0
0 0 1 jan-mar *
0 0 1 nov-feb *
0 0 1 apr-jan/3 *
0 0 1 nov-jun/2 *
0 0 1 jan-jan *
0 0 1 1-1/3 *
0 0 1 */3 *
0 0 1 dec/3 *
0 0 1 2/3 *
59/15 * * * *
50/5 * * * *
50-10 * * * *
50-10/7 * * * *
55-5/5 * * * *
5-5 * * * *
5-5/15 * * * *
10-10/7 3 * * *
0 22-4 * * *
0 22-5/3 * * *
0 22-2/2 * * *
0 23-0 * * *
0 0 28-3 * *
0 0 25-5/4 * *
*/100 * * * *
*/59 * * * *
00 007 01 * *
0,0,0 1,1 * * *
1,59 * * * *
0  9	* * 1-5
@yearly
@annually
@monthly
@weekly
@daily
@midnight
@hourly
@DAILY
* * * * * *
* * * * * 0
* * * * * */15
* * * * * 30
0 * * * * 30
30 2 * * * 30
* 2 * * * 10,50
0 2,3 * * * 10,30
0 0 * * * 59
*/10 1-3 * * * */20
0 0 29 2 * 30
* * * * * 55-5
* * * * * 5/10
0 0 1 1 * 0 2024/2
0 0 1 1 * 0 *
0 0 29 2 * 0 2020-2099
*/30 * * * * 0 2099
0 0 L * * 15 2027,2031
30 2 * 3,10 0 0 2020-2040
0 0 1 * * 0 2030-2025
""".strip("\n").splitlines()

# What croniter accepts and we do too is above; these are refused by both.
BAD = """

*
* * * *
* * * * * * * *
bad cron
@reboot
@nightly
60 * * * *
-1 * * * *
1- * * * *
-5 * * * *
1--5 * * * *
1-2-3 * * * *
*/0 * * * *
1-5/0 * * * *
5/0 * * * *
*/-1 * * * *
*/x * * * *
*/ * * * *
/5 * * * *
*/5/2 * * * *
5/10/2 * * * *
*-5 * * * *
5-* * * * *
** * * * *
*5 * * * *
1,,2 * * * *
,1 * * * *
1, * * * *
, * * * *
1.5 * * * *
+5 * * * *
0x5 * * * *
a * * * *
mon * * * *
* 24 * * *
0 24/1 * * *
* 0-24 * * *
* * 0 * *
* * 32 * *
* * 0-5 * *
* * 0/5 * *
* * 1-32 * *
* * mon * *
* * l-5 * *
* * l/2 * *
* * l-l * *
* * lw * *
* * 0w * *
* * 32w * *
* * 15w,1 * *
* * 1,15w * *
* * 1-15w * *
* * w * *
* * * 0 *
* * * 13 *
* * * january *
* * * mon *
* * * l *
* * * jan-foo *
* * * * 8
* * * * 1-8
* * * * jan
* * * * monday
* * * * l
* * * * l8
* * * * lfri
* * * * 5l
* * * * 1#0
* * * * 1#6
* * * * 1#
* * * * #1
* * * * 1#l
* * * * 1-5#2
* * * * 8#1
* * * * *#1
* * * * 1,5#2
* * * * 1#2,3
* * * * jan#1
? * * * *
* ? * * *
* * * ? *
* * ?,1 * *
* * 1? * *
* * * * ?1
* * * * * ?
* * * * * 60
* * * * * -1
* * * * * 0 1969
* * * * * 0 2100
* * * * * 0 x
H * * * *
H/5 * * * *
99999999999999999999 * * * *
0-99999999999999999999 * * * *
""".removeprefix("\n").removesuffix("\n").split("\n")

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()


class Maker:
    """Makes up schedules that are likely to be accepted and to fire."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, low, high, names):
        number = self.random.randint(low, high)
        if names and self.random.random() < 0.3:
            return names[number % len(names) if names is DAYS else number - 1]
        return str(number)

    def item(self, low, high, names=None):
        kind = self.random.choices(
            ["value", "range", "wrapping", "range step", "wrapping step", "star step", "start step"],
            [10, 4, 1, 3, 1, 4, 2],
        )[0]
        step = self.random.choice([1, 2, 3, 4, 5, 7, 10, 15, 20, 30])
        if kind == "value":
            return self.value(low, high, names)
        if kind == "star step":
            return f"*/{step}"
        if kind == "start step":
            return f"{self.value(low, high, names)}/{step}"
        ends = sorted(self.random.sample(range(low, high + 1), 2), reverse="wrapping" in kind)
        text = "-".join(str(end) for end in ends)
        return f"{text}/{step}" if "step" in kind else text

    def field(self, low, high, star, names=None):
        if self.random.random() < star:
            return "*"
        count = self.random.choice([1, 1, 1, 1, 2, 3])
        return ",".join(self.item(low, high, names) for _ in range(count))

    def day_of_month(self):
        chance = self.random.random()
        if chance < 0.06:
            return self.random.choice(["L", "l", "15,L", "1,L", "1-L/3", "L,10-12"])
        if chance < 0.09:
            return self.random.choice(["{}W", "W{}"]).format(self.random.randint(1, 31))
        if chance < 0.11:
            return "?"
        return self.field(1, 31, 0.5)

    def day_of_week(self):
        chance = self.random.random()
        if chance < 0.08:
            return f"{self.value(0, 7, DAYS)}#{self.random.randint(1, 5)}"
        if chance < 0.11:
            return f"L{self.random.randint(0, 7)}"
        if chance < 0.13:
            return f"{self.random.choice(DAYS)}#1,L{self.random.randint(0, 6)}"
        if chance < 0.15:
            return "?"
        return self.field(0, 7, 0.5, DAYS)

    def schedule(self):
        fields = [
            self.field(0, 59, 0.15),
            # Most clocks are changed between midnight and four.
            self.field(0, 3, 0) if self.random.random() < 0.3 else self.field(0, 23, 0.3),
            self.day_of_month(),
            self.field(1, 12, 0.7, MONTHS),
            self.day_of_week(),
        ]
        if self.random.random() < 0.2:
            fields.append(self.field(0, 59, 0.2))
            if self.random.random() < 0.2:
                fields.append(self.field(2015, 2060, 0.3))
        return " ".join(fields)


def schedules(count):
    """All of them, each once."""
    maker = Maker(20261122)
    found = dict.fromkeys(PICKED)
    while len(found) < count:
        found.setdefault(maker.schedule())
    return list(found)
