"""Types lines and a TAB into a real shell, and prints what each was offered, as JSON.

usage: tab.py bash|zsh|fish LINE...

A line is what follows the program's name, whose path is in PROGRAM. Bash and zsh get a terminal:
what they list counts, else what they put on the line, with the space behind it. Fish says itself what
TAB would offer. Each sources the script as docs/cli.md says.
"""

import fcntl
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

NAME = "beamline-registry "
SHELLS = str(pathlib.Path(__file__).parents[3] / "scripts/shells")
# What a shell does first. Ctrl-X shows the line between marks, and empties it.
BEGIN = {
    "bash": """PS1=; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
bind 'set show-all-if-ambiguous on'; source <(beamline-registry completion bash)
show() { echo "{""{$READLINE_LINE}""}"; READLINE_LINE=; }; bind -x '"\\C-x": show'; echo "{""{}""}"
""",
    "zsh": """PS1=; unsetopt prompt_sp list_ambiguous; autoload -Uz compinit; compinit -u -D
source <(beamline-registry completion zsh)
show() { print -r -- "{""{$BUFFER}""}"; BUFFER= }; zle -N show; bindkey '^X' show; echo "{""{}""}"
""",
}
START = {"bash": ["--norc", "-i"], "zsh": ["-f", "-i"]}
TAB, SHOW = "\t", "\x18"


class Terminal:
    """A shell at a terminal that is wide and knows no colors."""

    def __init__(self, shell):
        process, self.end = pty.fork()
        if process == 0:
            os.environ.update(TERM="dumb", HISTFILE="")
            os.execv(SHELLS, [SHELLS, "run", shell, *START[shell]])
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("4H", 200, 300, 0, 0))
        self.screen = ""
        self.type(BEGIN[shell])

    def type(self, keys):
        """The screen up to the next marks, and what stands between these."""
        os.write(self.end, keys.encode())
        while not (found := re.search("{{([^\n]*)}}\r*\n", self.screen)):
            text = os.read(self.end, 65536).decode()
            self.screen += re.sub("\x1b\\[[?0-9;]*[A-Za-z]|\x07", "", text)
        screen, self.screen = self.screen[: found.start()], self.screen[found.end() :]
        return screen, found[1]

    def offered(self, line):
        typed = NAME + line
        screen, after = self.type(typed + TAB + SHOW)
        listed = [row for row in screen.splitlines() if row.strip() and NAME not in row]
        if listed:
            return sorted(word for row in listed for word in row.split(" -- ")[0].split())
        begin = typed.rfind(" ") + 1
        return [after[begin:]] if after != typed else []


def of_fish(line):
    script = "beamline-registry completion fish | source; complete -C $argv[1]"
    command = [SHELLS, "run", "fish", "--no-config", "-c", script, NAME + line]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(row.split("\t")[0] for row in out.splitlines())


# Nothing here takes this long; a shell that hangs is killed with its terminal.
signal.alarm(60)
os.environ["PATH"] = os.path.dirname(os.environ["PROGRAM"]) + ":" + os.environ["PATH"]
shell, *lines = sys.argv[1:]
offered = of_fish if shell == "fish" else Terminal(shell).offered
print(json.dumps([offered(line) for line in lines]))
