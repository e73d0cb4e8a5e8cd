// The SDK for JavaScript 2: one client for STS.
process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = "1";
const { createRequire } = require("node:module");
const readline = require("node:readline");

const AWS = createRequire(`${process.env.NODE_MODULES}/`)("aws-sdk");
const sts = new AWS.STS({ endpoint: process.env.AWS_ENDPOINT_URL_STS, region: "us-east-1" });

(async () => {
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    try {
      await sts.getCallerIdentity({}).promise();
      console.log("ok");
    } catch (error) {
      console.log(`error ${error.code}: ${error.message}`.replaceAll("\n", " ").slice(0, 300));
    }
  }
})();
