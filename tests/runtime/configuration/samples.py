"""A good configuration file, and broken ones with the line that each is answered with.

MODULE in them stands for the name of a module with the classes below.
"""

MODULE = """
from actors.actor import Actor
from actors.layout import Layout, field

class Prices(Layout):
    gbp = field("f8")

class Inventory(Actor):
    def __init__(self, stock: dict, *, gateway: object = None) -> None: ...

    def snapshot(self) -> object: ...

    def restore(self, state: object) -> None: ...

class Gateway(Actor): ...

class Outer:
    class Inner(Actor): ...

class Thing: ...

def function(): ...
"""

GOOD = """
name = "shop"
strategy = "rest_for_one"
max_restarts = 7
max_seconds = "1m"
backoff = { first = "50ms", most = 10, jitter = 0.5 }
auto_shutdown = "any_significant"

[regions.prices]
layout = "MODULE:Prices"
writers = "one"

[children.inventory]
actor = "MODULE:Inventory"
args = [{ tea = 3, since = 2024-01-01, nested = [{ "$ref" = "payments.gateway" }, { "$region" = "prices" }] }]
kwargs = { gateway = { "$ref" = "payments.gateway" } }
restart = "transient"
shutdown = "250ms"
ready = "2m"
mailbox = { size = "64KiB", when_full = "refuse" }
on_raise = "crash"
replicas = 3
significant = true
drain = "discard"
understudies = 1
watchdog = "30s"
heartbeat = 5
limits = { max_rss = "1GiB", max_messages = 100000, max_age = "6h", jitter = 0.2 }
snapshot_every = 10
durable = "state.db"
durable_every = "2s"

[children.payments]
strategy = "one_for_all"
backoff = false
restart = "temporary"
shutdown = "kill"
[children.payments.children.gateway]
actor = "MODULE:Outer.Inner"
host = "thread"

[children.sessions]
strategy = "dynamic"
max_children = 500
template = { actor = "MODULE:Gateway", restart = "temporary" }
"""


BROKEN = {
    "unknown key": (
        'nmae = "x"\nchildren = {}',
        'F:1: nmae: expected a key of the file (did you mean name?), got "nmae"',
    ),
    "unknown key with nothing near": (
        'children = {}\nbackoff = { colour = "red" }',
        'F:2: backoff.colour: expected a key of a backoff (first, most, jitter), got "colour"',
    ),
    "regions": (
        "children = {}\n[regions.prices]\n",
        'F:2: regions.prices.layout: expected "module:Class", got nothing',
    ),
    "region that is no table": ("children = {}\nregions.prices = 3", "F:2: regions.prices: expected a table, got 3"),
    "name of a region": (
        'children = {}\n[regions."9 lives"]\nlayout = "MODULE:Prices"',
        'F:2: regions."9 lives": expected a name like [A-Za-z_][A-Za-z0-9_-]{0,63}, got "9 lives"',
    ),
    "key of a region": (
        'children = {}\n[regions.prices]\nlayout = "MODULE:Prices"\nwriter = "one"',
        'F:4: regions.prices.writer: expected a key of a region (did you mean writers?), got "writer"',
    ),
    "writers of a region": (
        'children = {}\n[regions.prices]\nlayout = "MODULE:Prices"\nwriters = "two"',
        'F:4: regions.prices.writers: expected one|many, got "two"',
    ),
    "layout that is not there": (
        'children = {}\n[regions.prices]\nlayout = "MODULE:Pirces"',
        (
            'F:3: regions.prices.layout: expected a layout that can be imported, got "MODULE:Pirces": MODULE has no '
            "Pirces (did you mean Prices?)"
        ),
    ),
    "layout that is none": (
        'children = {}\n[regions.prices]\nlayout = "MODULE:Thing"',
        (
            'F:3: regions.prices.layout: expected a subclass of actors.Layout or a structured dtype, got "MODULE:Thing", '
            "a type"
        ),
    ),
    "region that is not in the file": (
        (
            '[regions.prices]\nlayout = "MODULE:Prices"\n[children.a]\nactor = "MODULE:Inventory"\n'
            'args = [{ "$region" = "pirces" }]'
        ),
        (
            'F:5: children.a.args[0]."$region": expected the name of a region in this file (did you mean prices?), '
            'got "pirces"'
        ),
    ),
    "region beside other keys": (
        (
            '[regions.prices]\nlayout = "MODULE:Prices"\n[children.a]\nactor = "MODULE:Inventory"\n'
            'args = [{ "$region" = "prices", more = 1 }]'
        ),
        'F:5: children.a.args[0]: expected "$region" alone in its table, got { "$region" = "prices", more = 1 }',
    ),
    "bad name": (
        'name = "9 lives"\nchildren = {}',
        'F:1: name: expected a name like [A-Za-z_][A-Za-z0-9_-]{0,63}, got "9 lives"',
    ),
    "name of the wrong type": ("name = 3\nchildren = {}", "F:1: name: expected a string, got 3"),
    "strategy": (
        'children = {}\nstrategy = "one_for_won"',
        'F:2: strategy: expected one_for_one|one_for_all|rest_for_one|dynamic, got "one_for_won"',
    ),
    "restarts below zero": ("max_restarts = -1\nchildren = {}", "F:1: max_restarts: expected at least 0, got -1"),
    "restarts that are no number": (
        'max_restarts = "3"\nchildren = {}',
        'F:1: max_restarts: expected a whole number, got "3"',
    ),
    "restarts that are true": (
        "max_restarts = true\nchildren = {}",
        "F:1: max_restarts: expected a whole number, got true",
    ),
    "window of nothing": ("max_seconds = 0\nchildren = {}", "F:1: max_seconds: expected a duration above 0, got 0"),
    "backoff true": ("children = {}\nbackoff = true", "F:2: backoff: expected a table, got true"),
    "duration": (
        'children = {}\n[backoff]\nmost = "30 parsecs"',
        'F:3: backoff.most: expected a duration like "100ms", "5s", "2m", "6h", or seconds, got "30 parsecs"',
    ),
    "jitter": ("children = {}\nbackoff.jitter = 2", "F:2: backoff.jitter: expected at most 1, got 2"),
    "path of the wrong type": ('children = {}\npath = "src"', 'F:2: path: expected an array, got "src"'),
    "path element of the wrong type": ("children = {}\npath = [\n  1,\n]", "F:3: path[0]: expected a string, got 1"),
    "path that is no directory": (
        'children = {}\npath = [\n  ".",\n  "srcc"\n]',
        'F:4: path[1]: expected a directory, got "srcc"',
    ),
    "children of the wrong type": ("children = 3", "F:1: children: expected a table, got 3"),
    "nothing at all": ("", "F:1: children: expected exactly one of children, template, got none"),
    "both at the root": (
        'children = {}\ntemplate = { actor = "MODULE:Gateway" }',
        "F:1: children: expected exactly one of children, template, got children and template",
    ),
    "child of no kind": (
        "[children.a]\nready = 3",
        "F:1: children.a: expected exactly one of actor, children, template, got none",
    ),
    "child of two kinds": (
        '[children.a]\nactor = "MODULE:Gateway"\nchildren = {}',
        "F:1: children.a: expected exactly one of actor, children, template, got actor and children",
    ),
    "child that is no table": ("\nchildren.a = 3", "F:2: children.a: expected a table, got 3"),
    "child's name": (
        '[children."a b"]\nactor = "MODULE:Gateway"',
        'F:1: children."a b": expected a name like [A-Za-z_][A-Za-z0-9_-]{0,63}, got "a b"',
    ),
    "restart": (
        '[children.a]\nactor = "MODULE:Gateway"\nrestart = "always"',
        'F:3: children.a.restart: expected permanent|transient|temporary, got "always"',
    ),
    "restart of a supervisor": (
        "[children.a]\nchildren = {}\nrestart = 1",
        "F:3: children.a.restart: expected permanent|transient|temporary, got 1",
    ),
    "child called children": (
        '[children.children]\nactor = "MODULE:Gateway"\nrestart = 1',
        "F:3: children.children.restart: expected permanent|transient|temporary, got 1",
    ),
    "child called template": (
        '[children.template]\n[children.template.template]\nactor = "MODULE:Gateway"\nrestart = 1',
        "F:4: children.template.template.restart: expected permanent|transient|temporary, got 1",
    ),
    "shutdown": (
        '[children.a]\nactor = "MODULE:Gateway"\nshutdown = "never"',
        (
            'F:3: children.a.shutdown: expected "kill", "infinity" or a duration like "100ms", "5s", "2m", "6h", or '
            'seconds, got "never"'
        ),
    ),
    "ready at once": (
        '[children.a]\nactor = "MODULE:Gateway"\nready = 0',
        "F:3: children.a.ready: expected seconds above 0, got 0",
    ),
    "replicas": (
        '[children.a]\nactor = "MODULE:Gateway"\nreplicas = 0',
        "F:3: children.a.replicas: expected 1 to 1024, got 0",
    ),
    "understudies": (
        '[children.a]\nactor = "MODULE:Gateway"\nunderstudies = 65',
        "F:3: children.a.understudies: expected 0 to 64, got 65",
    ),
    "watchdog": (
        '[children.a]\nactor = "MODULE:Gateway"\nwatchdog = 0',
        "F:3: children.a.watchdog: expected seconds above 0, got 0",
    ),
    "heartbeat": (
        '[children.a]\nactor = "MODULE:Gateway"\nheartbeat = "often"',
        'F:3: children.a.heartbeat: expected a duration like "100ms", "5s", "2m", "6h", or seconds, got "often"',
    ),
    "limits": (
        '[children.a]\nactor = "MODULE:Gateway"\nlimits = { max_messages = 0 }',
        "F:3: children.a.limits: expected a whole max_messages from 1 to 2**63 - 1, got { max_messages = 0 }",
    ),
    "snapshot_every": (
        '[children.a]\nactor = "MODULE:Gateway"\nsnapshot_every = 0',
        "F:3: children.a.snapshot_every: expected 1 to 1024, got 0",
    ),
    "durable": (
        '[children.a]\nactor = "MODULE:Gateway"\ndurable = 3',
        "F:3: children.a.durable: expected a string, got 3",
    ),
    "durable without snapshots": (
        '[children.a]\nactor = "MODULE:Gateway"\ndurable = "state.db"',
        "F:3: children.a.durable: expected an actor with snapshot and restore, got Gateway",
    ),
    "durable_every": (
        '[children.a]\nactor = "MODULE:Inventory"\ndurable_every = 0\ndurable = "s.db"\nargs = [{}]',
        'F:3: children.a.durable_every: expected "message" or seconds above 0, got 0',
    ),
    "durable_every without a file": (
        '[children.a]\nactor = "MODULE:Gateway"\ndurable_every = "2s"',
        'F:3: children.a.durable_every: expected durable beside it, got "2s"',
    ),
    "durable_every in words": (
        '[children.a]\nactor = "MODULE:Inventory"\ndurable_every = "often"\ndurable = "s.db"\nargs = [{}]',
        (
            'F:3: children.a.durable_every: expected "message" or a duration like "100ms", "5s", "2m", "6h", or '
            'seconds, got "often"'
        ),
    ),
    "key of limits": (
        '[children.a]\nactor = "MODULE:Gateway"\nlimits = { max_memory = "1GiB", max_messages = 3, max_age = "1h" }',
        (
            "F:3: children.a.limits.max_memory: expected a key of limits (max_rss, max_messages, max_age, jitter), "
            'got "max_memory"'
        ),
    ),
    "drain": (
        '[children.a]\nactor = "MODULE:Gateway"\ndrain = "sink"',
        'F:3: children.a.drain: expected finish|discard, got "sink"',
    ),
    "on_raise": (
        '[children.a]\nactor = "MODULE:Gateway"\non_raise = "die"',
        'F:3: children.a.on_raise: expected survive|crash, got "die"',
    ),
    "significant of the wrong type": (
        '[children.a]\nactor = "MODULE:Gateway"\nsignificant = "yes"',
        'F:3: children.a.significant: expected true or false, got "yes"',
    ),
    "mailbox of the wrong type": (
        '[children.a]\nactor = "MODULE:Gateway"\nmailbox = "32KiB"',
        'F:3: children.a.mailbox: expected a table, got "32KiB"',
    ),
    "size": (
        '[children.a]\nactor = "MODULE:Gateway"\n[children.a.mailbox]\nsize = "32KB"',
        'F:4: children.a.mailbox.size: expected a size like "4096B", "32KiB", "1MiB", or bytes, got "32KB"',
    ),
    "size too small": (
        '[children.a]\nactor = "MODULE:Gateway"\nmailbox = { size = "100B" }',
        'F:3: children.a.mailbox: expected 4096 to 1048576 bytes and "wait" or "refuse", got { size = "100B" }',
    ),
    "full mailbox": (
        '[children.a]\nactor = "MODULE:Gateway"\nmailbox.when_full = "drop"',
        'F:3: children.a.mailbox.when_full: expected wait|refuse, got "drop"',
    ),
    "class path": (
        '[children.a]\nactor = "shop.Gateway"',
        'F:2: children.a.actor: expected "module:Class", got "shop.Gateway"',
    ),
    "missing module": (
        '[children.a]\nactor = "no_such_shop:Gateway"',
        (
            'F:2: children.a.actor: expected a class that can be imported, got "no_such_shop:Gateway": '
            "ModuleNotFoundError: No module named 'no_such_shop'"
        ),
    ),
    "missing class": (
        '[children.a]\nactor = "MODULE:Gatway"',
        (
            'F:2: children.a.actor: expected a class that can be imported, got "MODULE:Gatway": MODULE has no Gatway '
            "(did you mean Gateway?)"
        ),
    ),
    "class that is no actor": (
        '[children.a]\nactor = "MODULE:Thing"',
        'F:2: children.a.actor: expected a subclass of actors.Actor, got "MODULE:Thing", a type',
    ),
    "function": (
        '[children.a]\nactor = "MODULE:function"',
        'F:2: children.a.actor: expected a subclass of actors.Actor, got "MODULE:function", a function',
    ),
    "missing argument": (
        '[children.a]\nactor = "MODULE:Inventory"',
        (
            "F:2: children.a.actor: expected arguments for Inventory(stock: dict, *, gateway: object = None), got "
            "missing a required argument: 'stock'"
        ),
    ),
    "too many arguments": (
        '[children.a]\nactor = "MODULE:Gateway"\n\nargs = [1]',
        "F:4: children.a.args: expected arguments for Gateway(), got too many positional arguments",
    ),
    "unknown argument": (
        '[children.a]\nactor = "MODULE:Inventory"\nargs = [{}]\nkwargs = { colour = 1 }',
        (
            "F:4: children.a.kwargs: expected arguments for Inventory(stock: dict, *, gateway: object = None), got an "
            "unexpected keyword argument 'colour'"
        ),
    ),
    "args of the wrong type": (
        '[children.a]\nactor = "MODULE:Inventory"\nargs = { stock = 1 }',
        "F:3: children.a.args: expected an array, got { stock = 1 }",
    ),
    "reference to nothing": (
        '[children.a]\nactor = "MODULE:Inventory"\nargs = [\n { "$ref" = "aa" }]',
        'F:4: children.a.args[0]."$ref": expected the path of an actor in this file (did you mean a?), got "aa"',
    ),
    "reference to a supervisor": (
        '[children.a]\nactor = "MODULE:Inventory"\nargs = [{ "$ref" = "b" }]\n[children.b]\nchildren = {}',
        'F:3: children.a.args[0]."$ref": expected the path of an actor in this file, got "b", a supervisor',
    ),
    "reference that is no string": (
        '[children.a]\nactor = "MODULE:Inventory"\nargs = [{ "$ref" = 1 }]',
        'F:3: children.a.args[0]."$ref": expected the path of an actor in this file, got 1',
    ),
    "reference with company": (
        '[children.a]\nactor = "MODULE:Inventory"\nargs = [{ "$ref" = "a", x = 1 }]',
        'F:3: children.a.args[0]: expected "$ref" alone in its table, got { "$ref" = "a", x = 1 }',
    ),
    "region": (
        '[children.a]\nactor = "MODULE:Inventory"\nargs = [{ stock = { "$region" = "prices" } }]',
        'F:3: children.a.args[0].stock."$region": expected the name of a region in this file, got "prices"',
    ),
    "dynamic without template": (
        'strategy = "dynamic"\nchildren = {}',
        'F:1: strategy: expected one_for_one|one_for_all|rest_for_one without a template, got "dynamic"',
    ),
    "template that is not dynamic": (
        '[children.a]\nstrategy = "one_for_all"\ntemplate = { actor = "MODULE:Gateway" }',
        'F:2: children.a.strategy: expected "dynamic" beside template, got "one_for_all"',
    ),
    "template without actor": (
        '[children.a]\ntemplate = { restart = "temporary" }',
        'F:2: children.a.template.actor: expected "module:Class", got nothing',
    ),
    "limit without template": (
        "max_children = 3\nchildren = {}",
        'F:1: max_children: expected it beside a template (strategy = "dynamic") only, got no template',
    ),
    "significant and permanent": (
        'auto_shutdown = "any_significant"\n[children.a]\nactor = "MODULE:Gateway"\nsignificant = true',
        'F:4: children.a.significant: expected restart = "transient" or "temporary" beside it, got "permanent"',
    ),
    "host": (
        '[children.a]\nactor = "MODULE:Gateway"\nhost = "cloud"',
        'F:3: children.a.host: expected process|thread, got "cloud"',
    ),
    "understudy of a thread": (
        '[children.a]\nactor = "MODULE:Gateway"\nhost = "thread"\nunderstudies = 1',
        'F:4: children.a.understudies: expected none beside host = "thread", got 1',
    ),
    "thread to be killed": (
        '[children.a]\nactor = "MODULE:Gateway"\nhost = "thread"\nshutdown = "kill"',
        'F:4: children.a.shutdown: expected a duration or "infinity" beside host = "thread", got "kill"',
    ),
    "memory of a thread": (
        '[children.a]\nactor = "MODULE:Gateway"\nhost = "thread"\nlimits = { max_rss = "1GiB" }',
        'F:4: children.a.limits.max_rss: expected none beside host = "thread", got "1GiB"',
    ),
    "significant for nobody": (
        '[children.a]\nactor = "MODULE:Gateway"\nrestart = "transient"\nsignificant = true',
        (
            "F:4: children.a.significant: expected auto_shutdown = any_significant|all_significant in its supervisor, "
            'got "never"'
        ),
    ),
    "no equals sign": ("a = 1\nb c = 3", "F:2: syntax: expected '=' after a key in a key/value pair, got \"c = 3\""),
    "no value": ("a = ", "F:1: syntax: expected valid TOML (invalid value), got the end of the file"),
    "bad value": ("a = 1\nb = = 3", 'F:2: syntax: expected valid TOML (invalid value), got "b = = 3"'),
    "table twice": (
        "[a]\nb = 1\n[a]",
        "F:3: syntax: expected valid TOML (cannot declare ('a',) twice), got \"[a]\"",
    ),
    "unclosed header": ("[a", "F:1: syntax: expected ']' at the end of a table declaration, got the end of the file"),
}
