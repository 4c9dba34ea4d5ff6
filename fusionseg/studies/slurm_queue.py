"""What SLURM has of this user: the jobs that wait or run, by their names."""

import os
import subprocess
from collections.abc import Sequence

from fusionseg.config.errors import UserError


class SlurmQueue:
    """Asks `squeue`, which works with and without SLURM's accounting, and stops jobs with `scancel`."""

    def jobs(self) -> dict[str, str]:
        """The ids of the jobs that wait or run, by their names.

        Raises:
            UserError: If SLURM does not answer.
        """
        lines = _output(["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A %j"]).splitlines()
        return {name: number for number, _, name in (line.strip().partition(" ") for line in lines)}

    def stop(self, names: Sequence[str]) -> None:
        """Cancels those that wait, and sends SIGUSR2 to the processes of those that run.

        Raises:
            UserError: If SLURM does not answer.
        """
        jobs = self.jobs()
        numbers = [jobs[name] for name in names if name in jobs]
        if numbers:
            # jobs that ended meanwhile are errors of scancel
            subprocess.run(["scancel", "--state=PENDING", *numbers], capture_output=True)
            subprocess.run(["scancel", "--signal=USR2", *numbers], capture_output=True)


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise UserError(f"SLURM does not answer: {error}") from error
    if done.returncode:
        raise UserError(f"SLURM does not answer: {command[0]}: {done.stderr.strip()}")
    return done.stdout
