// The SDK for JavaScript 3: one client each for STS and S3.
import { createRequire } from "node:module";
import readline from "node:readline";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");
const { S3Client, ListBucketsCommand } = require("@aws-sdk/client-s3");

const sts = new STSClient({ endpoint: process.env.AWS_ENDPOINT_URL_STS });
const s3 = new S3Client({ endpoint: process.env.AWS_ENDPOINT_URL_S3, forcePathStyle: true });

for await (const _ of readline.createInterface({ input: process.stdin })) {
  try {
    await sts.send(new GetCallerIdentityCommand({}));
    await s3.send(new ListBucketsCommand({}));
    console.log("ok");
  } catch (error) {
    console.log(`error ${error.name}: ${error.message}`.replaceAll("\n", " ").slice(0, 300));
  }
}
