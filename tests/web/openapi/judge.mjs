// Is it OpenAPI 3.1? node judge.mjs FILE. SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';

const validator = new Validator();
const { valid, errors } = await validator.validate(JSON.parse(readFileSync(process.argv[2], 'utf8')));
if (!valid) console.log(JSON.stringify(errors, null, 1));
else console.log(`OpenAPI ${validator.version}`);
process.exit(valid && validator.version === '3.1' ? 0 : 1);
