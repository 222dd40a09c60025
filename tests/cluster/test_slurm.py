#!/usr/bin/env python3
"""The job scripts of tools/slurm/ on a Slurm of one machine, which is started for it and stopped: shards, a task that is killed and
done again, the merge behind them, the bytes of one run.

As root, with Debian's slurmctld, slurmd, slurm-client and slurm-wlm-basic-plugins: tests/cluster/test_slurm.py PATH_OF_SER
"""
import os, shutil, socket, subprocess, sys, time, unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli"))
from test_program import SER, Case, tone, write_wav

SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/slurm")
CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort=17617
SlurmdPort=17618
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@unittest.skipUnless(shutil.which("slurmctld") and shutil.which("slurmd") and os.geteuid() == 0, "no Slurm, or not root")
class Slurm(Case):
    def setUp(self):
        super().setUp()
        host = socket.gethostname().split(".")[0]
        for folder in ("state", "spool"):
            os.makedirs(self.path(folder))
        with open(self.path("slurm.conf"), "w") as f:
            f.write(CONF.format(host=host, dir=self.dir, cpus=os.cpu_count()))
        self.env.update(SLURM_CONF=self.path("slurm.conf"), SER=SER)
        self.daemons = [subprocess.Popen([name, "-D"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                        for name in ("slurmctld", "slurmd")]
        self.wait(lambda: "idle" in self.run_it("sinfo", "-h", "-o", "%T", check=False), "a node")

    def tearDown(self):
        self.run_it("scancel", "-u", "root", check=False)
        for p in reversed(self.daemons):
            p.terminate()
        for p in self.daemons:
            p.wait(30)
        super().tearDown()

    def run_it(self, *args, check=True):
        return subprocess.run(args, env=self.env, cwd=self.dir, check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout

    def wait(self, condition, what, seconds=120):
        until = time.time() + seconds
        while not condition():
            self.assertLess(time.time(), until, what)
            time.sleep(0.01)

    def finish(self, job):
        self.wait(lambda: not self.run_it("squeue", "-h", "-j", job, check=False).strip(), "job " + job)

    def contents(self, folder):
        found = {}
        for where, _, names in os.walk(self.path(folder)):
            for name in names:
                path = os.path.join(where, name)
                try:
                    with open(path, "rb") as f:
                        found[os.path.relpath(path, self.path(folder))] = f.read()
                except FileNotFoundError:  # a temporary name
                    pass
        return found

    def test_shards(self):
        corpus = self.make_corpus()
        args = ("--data", corpus, "--feature-type", "LOGMEL")
        self.ser("extract", *args, "--features-dir", "whole")
        self.finish(self.run_it(SCRIPTS + "/submit.sh", "3", "parts", "merged", "extract", *args).strip())
        self.assertEqual(self.contents("merged"), self.contents("whole"))

    def test_a_task_that_is_killed(self):
        write_wav(self.path("one.wav"), tone(300, 20))
        for emotion in ("anger", "neutral"):
            os.makedirs(self.path("many/" + emotion))
            for i in range(150):
                os.link(self.path("one.wav"), self.path(f"many/{emotion}/{emotion}{i}.wav"))
        args = ("--data", "many", "--feature-type", "MFCC")
        self.ser("extract", *args, "--features-dir", "whole")
        array = self.run_it("sbatch", "--parsable", "--array=1-2", SCRIPTS + "/shard.sh", "2", "parts", "extract", *args).strip()
        self.wait(lambda: len(self.contents("parts/1.partial")) > 4, "features")
        self.run_it("scancel", "--signal=KILL", "--full", array + "_1")
        self.finish(array)
        self.assertFalse(os.path.exists(self.path("parts/1")))
        self.assertTrue(os.path.exists(self.path("parts/2")))
        merge = ("sbatch", "--parsable", "--output=merge.out", SCRIPTS + "/merge.sh", "2", "parts", "merged")
        self.finish(self.run_it(*merge).strip())
        with open(self.path("merge.out")) as f:
            self.assertIn("parts/1: it is not there", f.read())
        self.assertFalse(os.path.exists(self.path("merged")))
        again = self.run_it("sbatch", "--parsable", "--array=1", SCRIPTS + "/shard.sh", "2", "parts", "extract", *args).strip()
        self.run_it(merge[0], "--dependency=afterany:" + again, *merge[1:])
        self.wait(lambda: not self.run_it("squeue", "-h").strip(), "the merge")
        self.assertEqual(self.contents("merged"), self.contents("whole"))

    def test_ranks(self):
        """Of a ser with MPI, by srun --mpi=pmix; and what it says where srun does not tell MPI."""
        corpus = self.make_corpus(per_class=4)
        said = subprocess.run([SER, "predict", corpus], env=dict(self.env, SLURM_PROCID="0", SLURM_STEP_NUM_TASKS="2"), stderr=subprocess.PIPE, text=True)
        if "without MPI" in said.stderr:
            self.skipTest("this ser was built without MPI")
        self.env.update(OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_btl="self,vader,tcp", TMPDIR=self.dir)
        args = ("--data", corpus, "--feature-type", "LOGMEL", "--model-type", "timnet", "--split-fold", "2", "--networks", "2", "--epoch", "2",
                "--filter-size", "4", "--dilation-size", "1", "--stack-size", "1")
        self.ser("train", *args, "--run", "whole")
        ranks = ("sbatch", "--parsable", "--ntasks=2", "--cpus-per-task=1", "--oversubscribe", "--output=ranks.out", SCRIPTS + "/ranks.sh")
        self.finish(self.run_it(*ranks, "run", "train", *args).strip())
        with open(self.path("ranks.out")) as f:
            said = f.read()
        self.assertTrue(os.path.exists(self.path("run/model.safetensors")), said)
        for name in ("model", "fold-1", "fold-2"):
            with open(self.path(f"run/{name}.safetensors"), "rb") as f, open(self.path(f"whole/{name}.safetensors"), "rb") as g:
                self.assertEqual(f.read(), g.read())
        self.env["SER_MPI"] = "none"
        self.finish(self.run_it(*ranks, "none", "train", *args).strip())
        with open(self.path("ranks.out")) as f:
            self.assertIn("ser: 2 ranks were started, and MPI is not told of them", f.read())


if __name__ == "__main__":
    unittest.main(verbosity=2)
