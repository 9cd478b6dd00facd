# The image of the replay's template: the pipeline's own image (Dockerfile beside this file) with another program, so
# that both decide by the same code.
#
#   docker build -f pipeline/streaming/template/replay.Dockerfile -t REPLAY_IMAGE --build-arg IMAGE=IMAGE .
#   gcloud dataflow flex-template build gs://BUCKET/replay.json \
#     --image REPLAY_IMAGE --sdk-language PYTHON --metadata-file pipeline/streaming/template/replay_metadata.json
#
# pipelines.yaml calls the result `replay_template`.
ARG IMAGE
FROM ${IMAGE}
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/pipeline/streaming/replay.py
