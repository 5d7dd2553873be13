%% A router, reduced to what it does with an extension: look it up, call it.
%%
%% It routes a message every 100 ms and prints one line about each, so that one can watch what a
%% restart of the sidecar does to it: nothing but `lookup=cached` and `call=direct` for a while.
-module(beamline_router).
-behaviour(gen_server).

-export([start_link/1, route/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(EVERY_MS, 100).

-spec start_link(map()) -> gen_server:start_ret().
start_link(Options) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Options, []).

%% One message of a tenant: who served it, and the text after `normalize_text`.
-spec route(binary(), binary()) ->
    {ok, #{lookup := beamline_registry:via(), call := beamline_registry:via() | direct,
           version := binary(), text := binary()}}
    | {error, beamline_registry:failure()}.
route(Tenant, Text) ->
    Context = #{<<"tenant_id">> => Tenant},
    called(beamline_registry:lookup(<<"normalize_text">>, Context), Text, Context).

called({ok, #{<<"id">> := Id, <<"version">> := Version}, Looked}, Text, Context) ->
    case call(Id, #{<<"text">> => Text}, Context) of
        {ok, #{<<"payload">> := #{<<"text">> := Done}}, Called} ->
            {ok, #{lookup => Looked, call => Called, version => Version, text => Done}};
        {error, Reason} ->
            {error, Reason}
    end;
called({error, Reason}, _, _) ->
    {error, Reason}.

%% A sidecar that was killed in the middle of a call leaves it unanswered. Normalizing a text twice
%% does no harm, so it is tried once more.
call(Id, Payload, Context) ->
    case beamline_registry:invoke(Id, Payload, Context) of
        {error, timeout} -> beamline_registry:invoke(Id, Payload, Context);
        Answer -> Answer
    end.

init(Options) ->
    erlang:send_after(?EVERY_MS, self(), route),
    {ok, Options}.

handle_call(_, _, State) ->
    {reply, ok, State}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info(route, State) ->
    case route(<<"acme">>, <<"  Hello  ">>) of
        {ok, #{lookup := Lookup, call := Call, version := Version, text := Text}} ->
            io:format("routed lookup=~s call=~s version=~ts text=~ts~n", [Lookup, Call, Version, Text]);
        {error, Reason} ->
            io:format("failed ~0p~n", [Reason])
    end,
    erlang:send_after(?EVERY_MS, self(), route),
    {noreply, State}.
