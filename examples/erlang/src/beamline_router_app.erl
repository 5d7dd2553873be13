%% Starts the router with what the environment says, as the sidecar beside it is configured too.
-module(beamline_router_app).
-behaviour(application).

-export([start/2, stop/1]).

start(_Type, _Arguments) ->
    Options = #{
        name => <<"beamline-router">>,
        url => os:getenv("NATS_URL", "nats://127.0.0.1:4222"),
        prefix => list_to_binary(os:getenv("SUBJECT_PREFIX", "beamline.registry")),
        instance_id => instance_id(os:getenv("INSTANCE_ID", ""))
    },
    beamline_router_sup:start_link(Options).

stop(_State) ->
    ok.

%% Of the sidecar in this pod; without one, the group is asked right away.
instance_id("") -> undefined;
instance_id(Id) -> list_to_binary(Id).
