"""The bug museum: mistakes that were made in Kafka, its clients and its kin, each planted again for a while.

An *exhibit* is one module of `exhibits`: its docstring is the title and the story, `EXHIBIT` says what is shown and where,
and `plant()` is the mistake: a context manager that replaces one rule of the product from outside. An exhibit without
`plant` stands for rules that are Kafka's own: a setting of its scenario makes the difference, and the table of promises
excuses what it does. `gallery` finds whatever modules there are; nothing else lists them.

M1. The product knows nothing of its bugs. A rule is replaced by its name, in each process that needs it, and put back.
M2. What an exhibit shows is run: its shortest plan breaks a promise with the mistake and none without.
M3. One exhibit is one module. It takes part in the list, the telling, the hunt and the tests by being there.

| module | what |
|---|---|
| `exhibit` | what an exhibit is, and its run with and without the mistake |
| `gallery` | which there are, and which wait |
| `telling` | one of them as a story, before and after |
| `table` | who finds it, how soon, and how well it shrinks |
| `commands` | `eventlog museum` |

Not here: bugs that need transactions or a coordinator (`gallery.WAITING` names them).

Sources: Kafka's issue tracker and improvement proposals, Jepsen's reports, and the clients' own trackers, as each exhibit
says.
"""
