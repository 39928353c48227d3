"""The module against the command: python3 -m unittest discover python/tests"""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "src"))

import meshwright
from meshwright._command import arguments


class Flags(unittest.TestCase):
    def test_options_are_flags(self):
        options = {"max_memory": "90%", "binds": True, "offload": False, "tp": 2, "dp": None}
        self.assertEqual(arguments(options), ["--max-memory", "90%", "--binds", "--tp", "2"])


class Planning(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.report = meshwright.plan(model="gpt2", gpus=4, cluster="hgx-h100")

    def test_numbers_are_those_of_the_report(self):
        report = self.report
        self.assertEqual(report.step.value, report.data["step"]["value"])
        self.assertLess(report.step.low, report.step.high)
        self.assertEqual(report.step.unit, "s")
        self.assertTrue(report.plan.is_proven)
        self.assertEqual(report.plan.degrees["dp"] * report.plan.degrees["tp"], 4)

    def test_parts_add_up_to_the_step(self):
        total = sum(part.time.value for part in self.report.parts)
        self.assertAlmostEqual(total, self.report.step.value, delta=1e-9)

    def test_a_saved_plan_is_a_plan(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plan.json"
            self.report.save(path)
            self.assertEqual(json.loads(path.read_text())["id"], self.report.plan.id)

    def test_a_prediction_has_its_degrees(self):
        priced = meshwright.predict(model="gpt2", gpus=4, cluster="hgx-h100", tp=2)
        self.assertEqual(priced.plan.degrees, {"dp": 2, "tp": 2, "pp": 1, "cp": 1, "ep": 1})
        self.assertGreaterEqual(priced.step.value, self.report.step.value * 0.99)

    def test_an_export_is_a_configuration(self):
        config = json.loads(meshwright.export(self.report, "deepspeed"))
        self.assertEqual(config["train_batch_size"], 512)


class Refusing(unittest.TestCase):
    def test_a_refusal_has_message_hints_and_code(self):
        with self.assertRaises(meshwright.Refused) as caught:
            meshwright.plan(model="gpt9", gpus=4)
        refused = caught.exception
        self.assertIn("gpt9", refused.message)
        self.assertTrue(refused.hints)
        self.assertNotEqual(refused.code, 0)


class Measuring(unittest.TestCase):
    def test_groups_have_errors(self):
        groups = meshwright.accuracy().groups
        self.assertGreater(len(groups), 20)
        self.assertTrue(all(group.mean_error >= 0 for group in groups))


if __name__ == "__main__":
    unittest.main()
