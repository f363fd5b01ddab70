"""Lists the tasks of a guest with drgn, from a core file, and prints what it took and how many there were.

It is told the few types that it needs, as a kernel without DWARF cannot tell them.
"""

import json
import sys
import time

import drgn
from drgn.helpers.linux.list import list_for_each_entry

told = json.loads(sys.argv[1])
prog = drgn.Program()
prog.set_core_dump(told["core"])

offset = told["offsets"]
unsigned = prog.int_type("unsigned int", 4, False)
signed = prog.int_type("int", 4, True)
char = prog.int_type("char", 1, True)
member = drgn.TypeMember

list_head = prog.struct_type(
    "list_head",
    16,
    (
        member(lambda: prog.pointer_type(list_head), "next", 0),
        member(lambda: prog.pointer_type(list_head), "prev", 64),
    ),
)
signal_struct = prog.struct_type(
    "signal_struct",
    told["sizes"]["signal_struct"],
    (member(list_head, "thread_head", offset["thread_head"] * 8),),
)
task_struct = prog.struct_type(
    "task_struct",
    told["sizes"]["task_struct"],
    (
        member(unsigned, "__state", offset["__state"] * 8),
        member(list_head, "tasks", offset["tasks"] * 8),
        member(signed, "pid", offset["pid"] * 8),
        member(list_head, "thread_node", offset["thread_node"] * 8),
        member(prog.array_type(char, 16), "comm", offset["comm"] * 8),
        member(prog.pointer_type(signal_struct), "signal", offset["signal"] * 8),
    ),
)
init_task = drgn.Object(prog, task_struct, address=told["init_task"])


def tasks():
    found = []
    for leader in list_for_each_entry(task_struct, init_task.tasks.address_of_(), "tasks"):
        threads = leader.signal.thread_head.address_of_()
        for task in list_for_each_entry(task_struct, threads, "thread_node"):
            found.append((task.pid.value_(), task.comm.string_(), task.member_("__state").value_()))
    return found


times = []
for _ in range(told["rounds"]):
    begin = time.perf_counter()
    found = tasks()
    times.append(time.perf_counter() - begin)
json.dump({"seconds": times, "pids": sorted(pid for pid, _, _ in found)}, sys.stdout)
