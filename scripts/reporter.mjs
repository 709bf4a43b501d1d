import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

const TEST_REPORT = process.env.EDGE_SSM_TEST_REPORT;

/** A reporter of Vitest's that writes what passed, failed and was skipped, and why, to the file EDGE_SSM_TEST_REPORT. */
export default class Reporter {
  onTestRunEnd(modules) {
    const report = { passed: 0, failed: [], skipped: [] };
    for (const module of modules)
      for (const test of module.children.allTests()) {
        const name = `${relative(process.cwd(), module.moduleId)} > ${test.fullName}`;
        const { state, note } = test.result();
        if (state === 'passed') report.passed++;
        else if (state === 'failed') report.failed.push(name);
        else report.skipped.push({ name, reason: note?.replace(/^SKIP: /, '') ?? 'no reason was given' });
      }
    writeFileSync(TEST_REPORT, JSON.stringify(report));
  }
}
