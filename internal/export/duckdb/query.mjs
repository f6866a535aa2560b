// Runs SQL in DuckDB. Standard input: {"folder": where relative paths start, "queries": [SQL, …]};
// standard output: for each query {"columns": […], "rows": [[…], …]} or {"error": …},
// 64-bit integers and times as text.
import { DuckDBInstance } from '@duckdb/node-api'
import { chdir, stdin, stdout } from 'node:process'

let input = ''
for await (const chunk of stdin.setEncoding('utf8')) input += chunk
const { folder, queries } = JSON.parse(input)
chdir(folder)

// Nothing may be fetched: what DuckDB does not bring along is not there.
const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', threads: '2' })
const connection = await instance.connect()
await connection.run("SET TimeZone = 'UTC'")
const answers = []
for (const sql of queries) {
  try {
    const reader = await connection.runAndReadAll(sql)
    answers.push({ columns: reader.deduplicatedColumnNames(), rows: reader.getRowsJson() })
  } catch (e) {
    answers.push({ error: String(e) })
  }
}
stdout.write(JSON.stringify(answers))
